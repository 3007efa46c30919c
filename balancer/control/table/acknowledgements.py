"""Which forwarders have applied a generation; the quarantine of a freed id starts once all have a table without it."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.tables import AcknowledgementView, BehindView
from balancer.control.storage.records import FreedIdRecord
from balancer.control.storage.store import Store

BEHIND_LIMIT = 100


def count_acknowledged(applied: Mapping[int, int], generation: int) -> AcknowledgementView:
    """Count the forwarders that have a generation; `applied` is edge id -> generation of live forwarders."""
    behind = [edge_id for edge_id in sorted(applied) if applied[edge_id] < generation]
    have = len(applied) - len(behind)
    return AcknowledgementView(
        generation=generation,
        forwarders=len(applied),
        applied=have,
        share=have / len(applied) if applied else 1.0,
        behind=[BehindView(edge_id=each, applied_generation=applied[each]) for each in behind[:BEHIND_LIMIT]],
    )


async def note_removals(session: AsyncSession, oldest: int, now: datetime) -> None:
    """Start the quarantine of freed ids that no live forwarder's table contains."""
    for record in (await session.scalars(_unacknowledged_ids(oldest))).all():
        record.acknowledged_at = now


async def sweep_removals(store: Store, oldest: int) -> None:
    """Start the quarantine of freed ids; writes only if there is one to start."""
    async with store.read() as session:
        waiting = (await session.scalars(_unacknowledged_ids(oldest))).first()
    if waiting is not None:
        async with store.change() as session:
            await note_removals(session, oldest, store.now())


def _unacknowledged_ids(oldest: int) -> Select[FreedIdRecord]:
    return select(FreedIdRecord).where(
        FreedIdRecord.acknowledged_at.is_(None), FreedIdRecord.removed_generation <= oldest
    )
