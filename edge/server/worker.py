"""A worker process: it accepts on inherited sockets, and ends when its supervisor does.

Started as `python -m edge.server.worker` with a `WorkerConfig` in its environment; it accepts once the supervisor sends
"go". SIGTERM ends it at once. SIGQUIT lets it finish: it stops accepting, closes each session after the response in
progress, and exits with the last.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable

from edge.config.settings import EdgeSettings
from edge.ingress.handover import Handover
from edge.ingress.listening_sockets import ListeningSockets
from edge.limits.garbage_collector import raise_gc_thresholds
from edge.server.edge_worker import run_worker
from edge.server.privileged_start import drop_privileges
from edge.server.workers.config import CONFIG_VARIABLE, WorkerConfig
from edge.services.admission.rate_table import RateTable
from node.state.identity import wait_for_identity
from runtime.core_dumps import forbid_core_dumps
from runtime.heap import keep_freed_memory
from smkex.transport.event_loop import run_in_reactor

log = logging.getLogger("edge.server.worker")

REPORT_INTERVAL = 0.5  # seconds


async def serve_worker(config: WorkerConfig) -> None:
    """Serve until stopped, or until the supervisor ends."""
    loop = asyncio.get_running_loop()
    stopped, finishing = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGQUIT, finishing.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor handles it
    settings = EdgeSettings(**config.settings, _cli_parse_args=[])
    node = await wait_for_identity(settings.state, settings.node_timeout)
    sockets = ListeningSockets(
        tuple(map(_socket_of, config.listening)),
        tuple(map(_socket_of, config.https)),
    )
    handover = Handover(
        config.index,
        bytes.fromhex(config.secret),
        _socket_of(config.inbox),
        [_socket_of(number) for number in config.peers],
        [_socket_of(number) for number in config.older],
    )
    path_manager = _socket_of(config.path_manager) if config.path_manager is not None else None
    reader, writer = await asyncio.open_connection(sock=_socket_of(config.control))
    rates = RateTable(config.rates)
    async with run_worker(settings, node, sockets, path_manager, rates, handover) as worker:

        def facts() -> bytes:
            return json.dumps({**worker.facts(), "passed_over": handover.passed}).encode() + b"\n"

        async def finish() -> None:
            await finishing.wait()
            worker.reopen_log()  # the same SIGHUP may follow a rotation
            await worker.finish_sessions(settings.finish_timeout)
            stopped.set()

        tasks = [
            asyncio.create_task(_report_facts(writer, facts, stopped)),
            asyncio.create_task(_follow_commands(reader, worker.start_accepting, handover, stopped)),
            asyncio.create_task(finish()),
        ]
        await stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    writer.write(facts())  # what was counted since the last report
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    writer.close()


async def _report_facts(
    writer: asyncio.StreamWriter, facts: Callable[[], bytes], stopped: asyncio.Event
) -> None:
    """Report to the supervisor; when it has ended, stop."""
    try:
        while True:
            writer.write(facts())
            await writer.drain()
            await asyncio.sleep(REPORT_INTERVAL)
    except ConnectionError:
        stopped.set()


async def _follow_commands(
    reader: asyncio.StreamReader,
    start_accepting: Callable[[], Awaitable[None]],
    handover: Handover,
    stopped: asyncio.Event,
) -> None:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            if line == b"go\n":
                await start_accepting()
            elif line == b"alone\n":
                handover.drop_older_generation()
    stopped.set()


def _socket_of(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


def main() -> None:
    forbid_core_dumps()
    drop_privileges()  # before any thread; as root a new program has them again
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s[%(process)d]: %(message)s")
    raise_gc_thresholds()
    keep_freed_memory()
    run_in_reactor(serve_worker(WorkerConfig(**json.loads(os.environ.pop(CONFIG_VARIABLE)))))


if __name__ == "__main__":
    main()
