"""Freeze the table, or roll back to an earlier one: one pin for both, until it is removed."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.tables import FreezeView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.problems import Refusal
from balancer.control.registry import edges
from balancer.control.storage.records import EdgeRecord, PinRecord
from balancer.control.storage.store import Store
from balancer.control.table import repository
from balancer.control.table.changes import Change, Entry, Key
from balancer.control.table.publication import Pin, Publication, entry_of
from balancer.model.table import EdgeState, TableEdge


def freeze_view(pin: Pin | None) -> FreezeView:
    """Return the pin as the API shows it."""
    if pin is None:
        return FreezeView(frozen=False)
    return FreezeView(frozen=True, generation=pin.generation, at=pin.at, who=pin.who, why=pin.why)


async def freeze_table(store: Store, publication: Publication, by: Caller) -> FreezeView:
    """Freeze the table; does nothing if it is frozen."""
    async with store.change() as session:
        if publication.pin is None:
            entries = dict(publication.watch.live.entries)
            await _store_pin(session, store.now(), by, publication.watch.generation, entries)
            audit.record_change(
                session, store.now(), by, "table.freeze", f"generation {publication.watch.generation}"
            )
    return freeze_view(publication.pin)


async def thaw_table(store: Store, publication: Publication, by: Caller) -> None:
    """Publish the current state again; does nothing if the table is not frozen."""
    async with store.change() as session:
        if pin := publication.pin:
            await repository.drop_pin(session)
            session.info["pin"] = None
            audit.record_change(session, store.now(), by, "table.thaw", f"generation {pin.generation}")


async def roll_back(store: Store, publication: Publication, generation: int, by: Caller) -> FreezeView:
    """Publish an earlier generation as the next one, and hold it."""
    async with store.change() as session:
        entries = await _as_of(publication, session, generation)
        alive = {str(edge.id): edge for edge in await edges.list_all(session)}
        for key, entry in entries.items():
            if isinstance(entry, TableEdge):
                entries[key] = _with_liveness(entry, alive.get(key[1]))
        await _store_pin(session, store.now(), by, generation, entries)
        audit.record_change(session, store.now(), by, "table.rollback", f"generation {generation}")
    return freeze_view(publication.pin)


def _with_liveness(entry: TableEdge, now: EdgeRecord | None) -> Entry:
    """Keep an edge that was down then and is alive now in its current state."""
    if now is not None and now.name != entry.name:
        detail = f"its id {entry.id} was {entry.name}'s and now belongs to {now.name}"
        raise Refusal(409, "generation-not-applicable", detail, field="generation")
    if entry.state is EdgeState.DOWN and now is not None and now.alive:
        current = entry_of(now)
        assert isinstance(current, TableEdge)
        return replace(entry, state=current.state)
    return entry


async def _as_of(publication: Publication, session: AsyncSession, generation: int) -> dict[Key, Entry]:
    """Reconstruct a generation from the newest table, change by change."""
    records = await repository.list_after(session, generation)
    newest = publication.watch.generation
    if generation != newest and not await repository.has_generation(session, generation):
        raise Refusal(404, "no-such-generation", f"generation {generation} is not kept", field="generation")
    entries = dict(publication.watch.live.entries)
    for record in reversed(records):
        for change in map(Change.from_json, record.changes):
            if change.before is None:
                entries.pop(change.of, None)
            else:
                entries[change.of] = change.before
    return entries


async def _store_pin(
    session: AsyncSession, now: datetime, by: Caller, generation: int, entries: dict[Key, Entry]
) -> None:
    content = [entry.to_json() for entry in entries.values()]
    await repository.drop_pin(session)
    session.add(
        PinRecord(
            id=repository.THE_PIN, generation=generation, at=now, who=by.name, why=by.why, content=content
        )
    )
    await session.flush()
    session.info["pin"] = Pin(generation, now, by.name, by.why, entries, session.info["revision"])
