"""Wait for a drain to end, reporting its progress."""

import asyncio
import sys
from typing import TYPE_CHECKING

from runtime.errors import CommandError

if TYPE_CHECKING:
    from balancer.api.client import ControlClient
    from balancer.api.schemas import EdgeView

POLL_INTERVAL = 0.5  # seconds


async def wait_for_drain(client: "ControlClient", edge_id: int) -> "EdgeView":
    """Return when the route is withdrawn and no session is left, or the deadline has passed.

    Raises `CommandError` if the drain is ended meanwhile.
    """
    said = ""
    while True:
        edge = await client.edge(edge_id)
        if edge.admin_state.value != "draining":
            raise CommandError(f"{edge.name} is {edge.admin_state.value}: another operator ended the drain")
        progress = _describe_progress(edge)
        if progress != said:
            print(f"{edge.name}: {progress}", file=sys.stderr, flush=True)
        said = progress
        if _is_over(edge):
            return edge
        await asyncio.sleep(POLL_INTERVAL)


def _describe_progress(edge: "EdgeView") -> str:
    lease = edge.lease
    if lease is None:
        return "sends no heartbeats: " + "; ".join(each.reason for each in edge.health.reasons)
    phase = lease.drain.value if lease.drain else "has not begun"
    return f"{phase}, {'?' if lease.sessions is None else lease.sessions} sessions left"


def _is_over(edge: "EdgeView") -> bool:
    lease = edge.lease
    if lease is None:
        return edge.health.state.value == "down"
    phase = lease.drain.value if lease.drain else ""
    return phase == "over" or (phase == "withdrawn" and lease.sessions == 0)
