"""One of several worker processes: it accepts on sockets that it was given, and ends when the supervisor does.

Started as `python -m edge.server.worker` with its settings as JSON in the environment and inherited descriptors; it
accepts once the supervisor says so. SIGTERM ends it at once. SIGQUIT lets it finish: it accepts no more, closes each
session after the response in progress, and exits with the last.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from edge.handshake.path_manager import PathManagerClient
from edge.http.server import HttpServer
from edge.ingress.handover import Handover
from edge.ingress.https import HttpsListener, https_context
from edge.ingress.listener import Listener
from edge.limits.memory import raise_gc_thresholds, retain_freed_memory
from edge.server.application import run_application
from edge.server.draining import follow_admin_state
from node.state.identity import wait_for_identity

log = logging.getLogger("edge.server.worker")

CONFIG_VARIABLE = "SENNIT_WORKER"
REPORT_INTERVAL = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What the supervisor tells a worker: its number, its secret for `steering`, and descriptors by their use."""

    index: int
    secret: str
    settings: dict[str, Any]
    control: int
    listening: list[int]
    https: int | None
    inbox: int
    peers: list[int]
    older: list[int]
    path_manager: int | None

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @property
    def descriptors(self) -> list[int]:
        single = [self.control, self.inbox, self.https, self.path_manager]
        return [*self.listening, *self.peers, *self.older, *(one for one in single if one is not None)]


async def serve(orders: WorkerConfig) -> None:
    """Work until told to end, or until the supervisor is gone."""
    loop = asyncio.get_running_loop()
    stopped, finishing = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGQUIT, finishing.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor's to hear
    settings = EdgeSettings(**orders.settings, _cli_parse_args=[])
    node = await wait_for_identity(settings.state, settings.node_timeout)
    identity = load_identity(settings, node)
    handover = Handover(
        orders.index,
        bytes.fromhex(orders.secret),
        _socket_of(orders.inbox),
        [_socket_of(number) for number in orders.peers],
        [_socket_of(number) for number in orders.older],
    )
    manager = PathManagerClient(_socket_of(orders.path_manager)) if orders.path_manager is not None else None
    async with run_application(settings, f"{node.name}.sennit") as server:
        listener = Listener(node, identity, settings, server, manager, handover)
        https = _https(server, settings)

        def facts() -> dict[str, Any]:
            return {
                "reasons": identity.reasons,
                "draining": listener.draining,
                "sessions": listener.sessions,
                "sessions_at_service_port": listener.sessions_at_service_port,
                "handshakes": len(listener.handshakes),
                "failures": dict(listener.handshakes.failures),
                "passed_over": handover.passed,
            }

        async def go() -> None:
            await listener.start([_socket_of(number) for number in orders.listening])
            if https is not None and orders.https is not None:
                https.start(_socket_of(orders.https))

        tasks = [
            asyncio.create_task(follow_admin_state(settings.state, listener)),
            asyncio.create_task(_report_facts(orders.control, facts, go, handover, stopped)),
            asyncio.create_task(
                _finish_sessions(finishing, listener, https, server, settings.finish_timeout, stopped)
            ),
        ]
        await stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.stop()
        if https is not None:
            await https.stop()
    if manager is not None:
        manager.close()


async def _report_facts(
    control: int,
    facts: Callable[[], dict[str, Any]],
    go: Callable[[], Awaitable[None]],
    handover: Handover,
    stopped: asyncio.Event,
) -> None:
    """Tell the supervisor how it goes, and do what it says; when it is gone, end."""
    reader, writer = await asyncio.open_connection(sock=_socket_of(control))
    listening = asyncio.create_task(_follow_commands(reader, go, handover, stopped))
    try:
        while True:
            writer.write(json.dumps(facts()).encode() + b"\n")
            await writer.drain()
            await asyncio.sleep(REPORT_INTERVAL)
    except ConnectionError:
        stopped.set()
    finally:
        listening.cancel()
        writer.close()


async def _follow_commands(
    reader: asyncio.StreamReader,
    go: Callable[[], Awaitable[None]],
    handover: Handover,
    stopped: asyncio.Event,
) -> None:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            if line == b"go\n":
                await go()
            elif line == b"alone\n":
                handover.drop_older_generation()
    stopped.set()


async def _finish_sessions(
    finishing: asyncio.Event,
    listener: Listener,
    https: HttpsListener | None,
    server: HttpServer,
    timeout: float,
    stopped: asyncio.Event,
) -> None:
    await finishing.wait()
    await listener.stop_accepting()
    if https is not None:
        await https.stop()
    log.info("finishing: %d sessions are left", listener.sessions)
    until = asyncio.get_running_loop().time() + timeout
    while asyncio.get_running_loop().time() < until and not (listener.is_idle and not server.connections):
        server.finish_connections()  # again and again: handshakes that had begun make sessions still
        await asyncio.sleep(0.2)
    stopped.set()


def _https(server: HttpServer, settings: EdgeSettings) -> HttpsListener | None:
    if settings.https_port is None or settings.tls_certificate is None or settings.tls_key is None:
        return None
    tls = https_context(settings.tls_certificate, settings.tls_key)
    return HttpsListener(server, tls, settings)


def _socket_of(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s[%(process)d]: %(message)s")
    raise_gc_thresholds()
    retain_freed_memory()
    asyncio.run(serve(WorkerConfig(**json.loads(os.environ.pop(CONFIG_VARIABLE)))))


if __name__ == "__main__":
    main()
