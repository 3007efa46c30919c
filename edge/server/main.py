"""The edge's daemon: from settings to a listening edge, and its end in order."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

from edge.config.identity import IdentityUnusable, load_identity
from edge.config.settings import EdgeSettings
from edge.handshake.path_manager import PathManagerClient, start_path_manager
from edge.http.server import HttpServer
from edge.ingress.https import HttpsListener, https_context, listen_https
from edge.ingress.listener import Listener
from edge.limits.memory import raise_gc_thresholds, retain_freed_memory
from edge.server import metrics
from edge.server.application import run_application
from edge.server.draining import follow_admin_state
from edge.server.health import HealthEndpoint
from edge.server.origin_monitor import OriginMonitor
from edge.server.supervisor import Supervisor
from node.state.catalogue import EDGE_SOCKET
from node.state.identity import NodeIdentity, wait_for_identity
from runtime.capabilities import NET_ADMIN, drop_capabilities
from runtime.systemd import feed_watchdog, notify_systemd
from smkex.transport.mptcp.errors import MptcpError

log = logging.getLogger("edge")


def run(settings: EdgeSettings, reread: Callable[[], EdgeSettings]) -> None:
    """Serve until SIGTERM; with workers SIGHUP replaces them, under the settings that `reread` then gives.

    Raises `NodeUnknown`, `IdentityUnusable`, `ApplicationUnusable`, OSError.
    """
    raise_gc_thresholds()
    retain_freed_memory()
    if settings.workers:
        asyncio.run(_supervise(Supervisor(settings, reread)))
    else:
        asyncio.run(_serve(settings))


async def _supervise(supervisor: Supervisor) -> None:
    watchdog = asyncio.create_task(feed_watchdog())
    try:
        await supervisor.run(notify_systemd)
    finally:
        watchdog.cancel()


async def _serve(settings: EdgeSettings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    node = await wait_for_identity(settings.state, settings.node_timeout)
    identity = load_identity(settings, node)
    async with run_application(settings, f"{node.name}.sennit") as server:
        manager = _path_manager(node)
        listener = Listener(node, identity, settings, server, manager)
        origin = OriginMonitor(settings.upstream) if settings.app is None else None

        def facts() -> dict[str, Any]:
            return _facts(node, [*identity.reasons, *(origin.reasons if origin else ())], listener)

        health = HealthEndpoint(EDGE_SOCKET.path_in(settings.state), facts)
        end_metrics = metrics.serve_metrics(settings.metrics, facts)
        https = _https(server, settings, node)
        await listener.start()
        await health.start()
        watching = [asyncio.create_task(follow_admin_state(settings.state, listener))]
        if origin is not None:
            watching.append(asyncio.create_task(origin.run()))
        log.info("ready: edge %d (%s)", node.edge_id, node.name)
        notify_systemd("READY=1")
        watchdog = asyncio.create_task(feed_watchdog())
        await stopped.wait()
        notify_systemd("STOPPING=1")
        watchdog.cancel()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        end_metrics()
        await health.stop()
        await listener.stop()
        if https is not None:
            await https.stop()
        if manager is not None:
            manager.close()


def _https(server: HttpServer, settings: EdgeSettings, node: NodeIdentity) -> HttpsListener | None:
    if settings.https_port is None:
        return None
    if settings.tls_certificate is None or settings.tls_key is None:
        raise IdentityUnusable("--https-port needs --tls-certificate and --tls-key")
    tls = https_context(settings.tls_certificate, settings.tls_key)
    made = HttpsListener(server, tls, settings)
    made.start(listen_https(node.service_v4, settings.https_port))
    log.info("HTTPS on %s port %d", node.service_v4, settings.https_port)
    return made


def _path_manager(node: NodeIdentity) -> PathManagerClient | None:
    """Start the process that holds NET_ADMIN, and give that up here. Without it: transport tcp only."""
    try:
        _, channels = start_path_manager({node.service_v4, node.locator_of(node.service_v4)[0]})
    except MptcpError as error:
        log.warning("transport tcp only, no mptcp: %s (%s)", error, error.hint)
        return None
    finally:
        drop_capabilities(NET_ADMIN)
    return PathManagerClient(channels[0])


def _facts(node: NodeIdentity, reasons: list[str], listener: Listener) -> dict[str, Any]:
    return {
        "status": "degraded" if reasons else "ok",
        "reasons": reasons,
        "edge_id": node.edge_id,
        "draining": listener.draining,
        "sessions": listener.sessions,
        "sessions_at_service_port": listener.sessions_at_service_port,
        "handshakes": len(listener.handshakes),
        "failures": dict(listener.handshakes.failures),
    }
