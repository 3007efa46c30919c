"""Entry of `sennit edge`: the privileged start, then one worker in this process, or a supervisor of workers."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

from edge.config.identity import load_identity
from edge.config.settings import EdgeSettings
from edge.ingress.listening_sockets import ListeningSockets
from edge.limits.garbage_collector import raise_gc_thresholds
from edge.server.edge_worker import run_worker
from edge.server.privileged_start import open_privileged
from edge.server.status.applied_services import combine_applied
from edge.server.status.endpoints import run_endpoints
from edge.server.status.facts import combine_facts
from edge.server.workers.supervisor import Supervisor
from edge.services.admission.rate_table import RateTable
from node.state.identity import NodeIdentity, wait_for_identity
from runtime.core_dumps import forbid_core_dumps
from runtime.heap import keep_freed_memory
from runtime.systemd import feed_watchdog, notify_systemd
from smkex.transport.event_loop import run_in_reactor

log = logging.getLogger("edge")


def run_edge(settings: EdgeSettings, reread: Callable[[], EdgeSettings]) -> None:
    """Serve until SIGTERM; with workers SIGHUP replaces them, under the settings that `reread` then returns.

    Raises `NodeUnknown`, `IdentityUnusable`, `ApplicationUnusable`, `CapabilitiesHeld`, OSError.
    """
    forbid_core_dumps()
    raise_gc_thresholds()
    keep_freed_memory()
    node = asyncio.run(wait_for_identity(settings.state, settings.node_timeout))
    load_identity(settings, node)
    # two generations of workers have a channel each while the older one finishes
    sockets, channels = open_privileged(node, settings, clients=max(1, 2 * settings.workers))
    if settings.workers:
        asyncio.run(_run_supervisor(Supervisor(settings, reread, node, sockets, channels)))
    else:
        run_in_reactor(_serve_alone(settings, node, sockets, channels[0] if channels else None))


async def _run_supervisor(supervisor: Supervisor) -> None:
    watchdog = asyncio.create_task(feed_watchdog())
    try:
        await supervisor.run(notify_systemd)
    finally:
        watchdog.cancel()


async def _serve_alone(
    settings: EdgeSettings, node: NodeIdentity, sockets: ListeningSockets, path_manager: socket.socket | None
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with run_worker(settings, node, sockets, path_manager, RateTable.private()) as worker:
        loop.add_signal_handler(signal.SIGHUP, worker.reopen_log)

        def facts(reasons: list[str]) -> dict[str, Any]:
            return combine_facts(node, [worker.facts()], reasons)

        await worker.start_accepting()
        async with run_endpoints(settings, facts, lambda: combine_applied([worker.facts()])):
            log.info("ready: edge %d (%s)", node.edge_id, node.name)
            notify_systemd("READY=1")
            watchdog = asyncio.create_task(feed_watchdog())
            await stopped.wait()
            notify_systemd("STOPPING=1")
            watchdog.cancel()
