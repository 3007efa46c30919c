"""Follow the forwarding table: long polls, and `table.json` always the newest generation seen that was signed."""

import asyncio
import logging
from typing import Any

from balancer.agent.state import NodeState
from balancer.agent.sync.backoff import Backoff
from balancer.agent.sync.freshness import FreshnessMonitor
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.agent.sync.table_keys import drop_old_key, learn_table_keys
from balancer.api.client import ApiError, ControlClient, Garbled, SignedTable, TableAnswer, Unreachable
from balancer.model.signature import Forged, verify
from balancer.model.table import ForwardingTable
from node.state.table_key import verify_with_any

log = logging.getLogger(__name__)

LONG_POLL_SECONDS = 25.0  # under the idle time-outs of usual middleboxes


async def follow_table(
    client: ControlClient,
    state: NodeState,
    edge_id: int,
    changed: HeartbeatTrigger,
    freshness: FreshnessMonitor,
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
            answer = await _fetch_signed_table(client, state, None if whole else state.table_json(), wait)
            raw = answer.table
            table = None if raw is None else ForwardingTable.from_json(raw.table)
        except (Unreachable, ApiError, ValueError) as error:
            log.warning("table not fetched", extra={"why": str(error)})
            # not after a mere outage: the control plane could not bear a whole table for each edge then
            whole = isinstance(error, Garbled | ValueError)
            await asyncio.sleep(backoff.delay())
            continue
        whole = False
        is_newer = table is not None and (kept is None or table.generation > kept.generation)
        if is_newer and raw is not None:
            state.keep_table(raw.table, raw.signature)
        freshness.note_answer(answer.timestamp)  # after the table: the forwarder compares both
        await _follow_keys(client, state, freshness)
        if is_newer and table is not None:
            drop_old_key(state)
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
) -> TableAnswer:
    """Get a table that the control plane signed with a key that this node knows, or that follows one by links."""
    answer = await client.table(kept, wait)
    if (signed := answer.table) is not None:
        try:
            _verify_table(state, signed)
        except Forged:
            await learn_table_keys(client, state)
            _verify_table(state, signed)
    return answer


def _verify_table(state: NodeState, signed: SignedTable) -> None:
    verify_with_any(state.table_keys(), lambda key: verify(key, signed.table, signed.signature))


async def _follow_keys(client: ControlClient, state: NodeState, freshness: FreshnessMonitor) -> None:
    """Learn the key that a rotation under way brings, and forget that of one that was cancelled."""
    keys, newest = state.table_keys(), freshness.newest
    if newest is None or (len(keys) == 2 and keys[1].hex() == newest.next_key):
        return
    if newest.next_key or len(keys) == 2:
        try:
            await learn_table_keys(client, state)
        except (Unreachable, ApiError, ValueError) as error:
            log.warning("table keys not learned", extra={"why": str(error)})
        drop_old_key(state)
