"""Queries about the published table, its generations and the pin."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import FreedIdRecord, GenerationRecord, PinRecord, PublishedRecord
from balancer.control.table.changes import Change, Entry, Key, entry_from_json

VALUES_PER_QUERY = 500  # values in one query
THE_PIN = 1


async def newest_generation(session: AsyncSession) -> int:
    query = select(GenerationRecord.generation).order_by(GenerationRecord.generation.desc()).limit(1)
    return await session.scalar(query) or 0


async def has_generation(session: AsyncSession, generation: int) -> bool:
    return await session.get(GenerationRecord, generation) is not None


async def list_after(session: AsyncSession, generation: int) -> Sequence[GenerationRecord]:
    query = select(GenerationRecord).where(GenerationRecord.generation > generation)
    return (await session.scalars(query.order_by(GenerationRecord.generation))).all()


async def list_generations(session: AsyncSession, before: int, limit: int) -> Sequence[GenerationRecord]:
    """Newest first."""
    query = select(GenerationRecord).order_by(GenerationRecord.generation.desc()).limit(limit)
    if before:
        query = query.where(GenerationRecord.generation < before)
    return (await session.scalars(query)).all()


async def read_entries(session: AsyncSession) -> dict[Key, Entry]:
    rows = await session.execute(select(PublishedRecord.kind, PublishedRecord.key, PublishedRecord.content))
    found = {(kind, key): entry_from_json(kind, content) for kind, key, content in rows}
    return {key: entry for key, entry in found.items() if entry is not None}


async def store_changes(session: AsyncSession, changes: Sequence[Change]) -> None:
    """Apply the changes to the stored entries."""
    for kind in ("vip", "edge", "site"):
        for keys in _split_values([change.key for change in changes if change.kind == kind]):
            where = PublishedRecord.kind == kind, PublishedRecord.key.in_(keys)
            await session.execute(delete(PublishedRecord).where(*where))
    rows = [
        {"kind": change.kind, "key": change.key, "content": change.after.to_json()}
        for change in changes
        if change.after is not None
    ]
    if rows:
        await session.execute(insert(PublishedRecord), rows)


async def note_removals(session: AsyncSession, generation: int, changes: Sequence[Change]) -> None:
    """Record the generation from which a freed id is absent; None while the table contains it (again)."""
    edges = [change for change in changes if change.kind == "edge"]
    for removed in (True, False):
        ids = [
            int(each.key)
            for each in edges
            if (each.after is None) == removed and None in (each.after, each.before)
        ]
        for some in _split_values(ids):
            query = update(FreedIdRecord).where(FreedIdRecord.edge_id.in_(some))
            number = generation if removed else None
            await session.execute(query.values(removed_generation=number, acknowledged_at=None))


async def read_pin(session: AsyncSession) -> PinRecord | None:
    return await session.get(PinRecord, THE_PIN)


async def pin_revision(session: AsyncSession) -> int | None:
    return await session.scalar(select(PinRecord.revision))


async def drop_pin(session: AsyncSession) -> None:
    await session.execute(delete(PinRecord))


def _split_values(values: list[object] | list[str] | list[int]) -> Iterable[list[object]]:
    return (
        list(values[start : start + VALUES_PER_QUERY]) for start in range(0, len(values), VALUES_PER_QUERY)
    )
