"""The stored generations: so many of operators and, apart from them, so many of health, in one chain of changes.

A rollback walks the chain back from the newest generation. So the changes of a generation that is dropped are merged
into the one after it: every generation that is left can still be reconstructed.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import GenerationRecord
from balancer.control.table.changes import Change, Key


async def drop_oldest(session: AsyncSession, kept: int) -> None:
    """Drop the oldest generations beyond `kept` of each cause."""
    column = GenerationRecord.generation
    for by_health in (False, True):
        query = select(GenerationRecord).where(GenerationRecord.by_health == by_health)
        surplus = query.order_by(column.desc()).offset(kept)
        for record in (await session.scalars(surplus)).all():
            following = select(GenerationRecord).where(column > record.generation).order_by(column).limit(1)
            newer = (await session.scalars(following)).one()
            newer.changes = merge_changes([*record.changes, *newer.changes])
            await session.delete(record)
            await session.flush()


def merge_changes(changes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Combine changes in order: each entry from its first state to its last; unchanged ones are left out."""
    merged: dict[Key, Change] = {}
    for change in map(Change.from_json, changes):
        before = merged[change.of].before if change.of in merged else change.before
        merged[change.of] = Change(change.kind, change.key, before, change.after)
    return [change.to_json() for change in merged.values() if change.before != change.after]
