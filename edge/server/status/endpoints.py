"""Health socket, metrics and origin monitor of one edge, with one worker or several."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from edge.config.settings import EdgeSettings
from edge.server.status.applied_services import report_applied
from edge.server.status.health import HealthEndpoint
from edge.server.status.metrics import serve_metrics
from edge.server.status.origin_monitor import OriginMonitor
from node.state.catalogue import EDGE_SOCKET
from services.published_file import AppliedServices


@asynccontextmanager
async def run_endpoints(
    settings: EdgeSettings,
    facts: Callable[[list[str]], dict[str, Any]],
    applied: Callable[[], AppliedServices | None],
) -> AsyncIterator[None]:
    """Publish what `facts` returns for the reasons that the origin monitor finds, and the services in force.

    The monitor's reasons count while `--upstream` is served. Raises OSError.
    """
    monitor = OriginMonitor(settings.upstream) if settings.app is None else None

    def current_facts() -> dict[str, Any]:
        services = applied()
        is_default = services is not None and services.generation == 0
        return facts(monitor.reasons if monitor is not None and is_default else [])

    async with AsyncExitStack() as stack:
        if monitor is not None:
            task = asyncio.create_task(monitor.run())
            stack.push_async_callback(_cancel_task, task)
        reporting = asyncio.create_task(report_applied(settings.state, applied))
        stack.push_async_callback(_cancel_task, reporting)
        stack.callback(serve_metrics(settings.metrics, current_facts))
        EDGE_SOCKET.create_folder(settings.state)
        health = HealthEndpoint(EDGE_SOCKET.path_in(settings.state), current_facts)
        await health.start()
        stack.push_async_callback(health.stop)
        yield


async def _cancel_task(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
