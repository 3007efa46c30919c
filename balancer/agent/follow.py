"""Follow the forwarding table: long polls, and `table.json` always the newest generation seen."""

import asyncio
import logging
import time

from balancer.agent.backoff import Backoff
from balancer.agent.lease import Changed
from balancer.agent.state import NodeState
from balancer.api.client import ApiError, ControlClient, Unreachable

log = logging.getLogger(__name__)

WAIT = 25.0  # under the idle time-outs of usual middleboxes


async def follow_table(
    client: ControlClient, state: NodeState, edge_id: int, changed: Changed, wait: float = WAIT
) -> None:
    """Follow until cancelled. What is new about this edge itself is worth a heartbeat, which tells what is wanted."""
    kept, backoff = state.table(), Backoff()
    while True:
        started = time.monotonic()
        try:
            table = await client.table(kept.generation if kept else None, wait)
        except (Unreachable, ApiError) as error:
            log.warning("no table", extra={"why": str(error)})
            await asyncio.sleep(backoff.delay())
            continue
        if table is not None and (kept is None or table.generation > kept.generation):
            state.keep_table(table)
            if kept is not None and table.edge(edge_id) != kept.edge(edge_id):
                changed.note()
            kept = table
            backoff.reset()
            log.info("table", extra={"generation": table.generation, "edges": len(table.edges)})
        elif table is not None:
            log.error(
                "older table ignored",
                extra={"generation": table.generation, "kept": kept and kept.generation},
            )
            await asyncio.sleep(backoff.delay())
        elif time.monotonic() - started < wait / 2:
            await asyncio.sleep(backoff.delay())  # told too early that nothing is new: it is about to stop
        else:
            backoff.reset()
