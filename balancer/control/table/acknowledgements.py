"""Which forwarders have applied a generation; and freed ids rest only once all have applied the table without them."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.tables import AcknowledgementView, BehindView
from balancer.control.plane import ControlPlane
from balancer.control.storage.records import FreedIdRecord

SHOWN = 100


def view(applied: Mapping[int, int], generation: int) -> AcknowledgementView:
    """Count who has a generation; `applied` is edge id -> generation, of live forwarders."""
    behind = [edge_id for edge_id in sorted(applied) if applied[edge_id] < generation]
    have = len(applied) - len(behind)
    return AcknowledgementView(
        generation=generation,
        forwarders=len(applied),
        applied=have,
        share=have / len(applied) if applied else 1.0,
        behind=[BehindView(edge_id=each, applied_generation=applied[each]) for each in behind[:SHOWN]],
    )


async def note_removals(plane: ControlPlane, session: AsyncSession) -> None:
    """Let the quarantine of freed ids begin, where every live forwarder has a table without them."""
    oldest = min(plane.acknowledgements.applied.values(), default=plane.watch.generation)
    for record in (await session.scalars(_waiting(oldest))).all():
        record.acknowledged_at = plane.clock.now()


async def sweep(plane: ControlPlane) -> None:
    """Do so from time to time; writes only where there is something to write."""
    oldest = min(plane.acknowledgements.applied.values(), default=plane.watch.generation)
    async with plane.store.read() as session:
        waiting = (await session.scalars(_waiting(oldest))).first()
    if waiting is not None:
        async with plane.store.change() as session:
            await note_removals(plane, session)


def _waiting(oldest: int):  # type: ignore[no-untyped-def]
    return select(FreedIdRecord).where(
        FreedIdRecord.acknowledged_at.is_(None), FreedIdRecord.removed_generation <= oldest
    )
