"""Follow the forwarding table: long polls, and `table.json` always the newest generation seen that was signed."""

import asyncio
import logging
from typing import Any

from balancer.agent.state import NodeState
from balancer.agent.sync.backoff import Backoff
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.api.client import ApiError, ControlClient, Garbled, SignedTable, Unreachable
from balancer.model.signature import verify
from balancer.model.table import ForwardingTable

log = logging.getLogger(__name__)

LONG_POLL_SECONDS = 25.0  # under the idle time-outs of usual middleboxes


async def follow_table(
    client: ControlClient,
    state: NodeState,
    edge_id: int,
    changed: HeartbeatTrigger,
    wait: float = LONG_POLL_SECONDS,
) -> None:
    """Follow until cancelled. A change of this edge's own entry triggers a heartbeat: its answer has the state."""
    # when the control plane stops, all long polls end at once: they must not return at once
    kept, backoff, loop = (
        state.table(),
        Backoff(first=4.0, longest=8.0, jitter=1.0),
        asyncio.get_running_loop(),
    )
    whole = False  # ask for the whole table, since a delta was invalid
    while True:
        started = loop.time()
        try:
            raw = await _fetch_signed_table(client, state, None if whole else state.table_json(), wait)
            table = None if raw is None else ForwardingTable.from_json(raw.table)
        except (Unreachable, ApiError, ValueError) as error:
            log.warning("table not fetched", extra={"why": str(error)})
            # not after a mere outage: the control plane could not bear a whole table for each edge then
            whole = isinstance(error, Garbled | ValueError)
            await asyncio.sleep(backoff.delay())
            continue
        whole = False
        state.record_contact()
        if table is not None and raw is not None and (kept is None or table.generation > kept.generation):
            state.keep_table(raw.table, raw.signature)
            if kept is not None and table.edge(edge_id) != kept.edge(edge_id):
                changed.trigger()
            kept = table
            backoff.reset()
            log.info("table stored", extra={"generation": table.generation, "edges": len(table.edges)})
        elif table is not None and kept is not None and table.generation < kept.generation:
            log.error("older table ignored", extra={"generation": table.generation, "kept": kept.generation})
            await asyncio.sleep(backoff.delay())
        elif loop.time() - started < wait / 2:
            await asyncio.sleep(backoff.delay())  # an early "nothing new": the control plane is about to stop
        else:
            backoff.reset()


async def _fetch_signed_table(
    client: ControlClient, state: NodeState, kept: dict[str, Any] | None, wait: float
) -> SignedTable | None:
    """Get a table that the control plane signed with the key that this node learned when it enrolled."""
    answer = await client.table(kept, wait)
    if answer is None:
        return None
    verify(state.table_key(), answer.table, answer.signature)
    return answer
