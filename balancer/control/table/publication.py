"""The published table follows from what is stored, entry by entry, and from the pin if there is one.

A pin holds the current table (freeze) or an earlier one (rollback). Only liveness passes a pin: an edge that is not
alive is `down`, and returns to its pinned state when it is alive. An edge that the pin does not contain waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.numbers import next_number
from balancer.control.clock import Clock
from balancer.control.registry import edges
from balancer.control.registry.table_state import table_state
from balancer.control.storage.records import EdgeRecord, GenerationRecord, PinRecord, VipRecord
from balancer.control.table import repository, rings
from balancer.control.table.changes import Change, Entry, Key, compare_entries, compare_tables, key_of
from balancer.control.table.history import drop_oldest
from balancer.control.table.live import KEPT_GENERATIONS
from balancer.control.table.watch import TableWatch
from balancer.control.vips import repository as vips
from balancer.control.vips.published import vip_of
from balancer.model.table import EdgeState, Encapsulation, TableEdge, edge_from_json, site_from_json
from node.vip import vip_from_json


@dataclass(frozen=True, slots=True)
class Pin:
    """A table that is held, since when, by whom, and why."""

    generation: int
    at: datetime
    who: str
    why: str
    entries: Mapping[Key, Entry]
    revision: int = 0

    @classmethod
    def of(cls, record: PinRecord) -> "Pin":
        entries = [_parse_entry(each) for each in record.content]
        by_key = {key_of(entry): entry for entry in entries}
        return cls(record.generation, record.at, record.who, record.why, by_key, record.revision)


def _parse_entry(value: Mapping[str, Any]) -> Entry:
    if "current" in value:
        return site_from_json(value)
    return vip_from_json(value) if "locator" in value else edge_from_json(value)


def entry_of(record: EdgeRecord | VipRecord) -> Entry:
    """Return the entry of a stored record, if nothing is pinned."""
    if isinstance(record, VipRecord):
        return vip_of(record)
    state = table_state(record.admin_state, record.alive)
    tunnels = Encapsulation(record.encapsulation)
    return TableEdge(
        record.id,
        record.name,
        record.tunnel_v4,
        record.tunnel_v6,
        state,
        tunnels,
        record.peer_key,
        record.outside,
    )


def _record_key(record: EdgeRecord | VipRecord) -> Key:
    return ("vip", record.name) if isinstance(record, VipRecord) else ("edge", str(record.id))


def pinned_entry(pin: Pin, key: Key, *, alive: bool) -> Entry | None:
    """Return what is published of an entry under a pin."""
    entry = pin.entries.get(key)
    return replace(entry, state=EdgeState.DOWN) if isinstance(entry, TableEdge) and not alive else entry


class Publication:
    """Stores the next generation inside a change, and publishes it once that is committed."""

    def __init__(self, clock: Clock, watch: TableWatch, *, shared: bool) -> None:
        self._clock = clock
        self.watch = watch
        self._shared = shared
        self.pin: Pin | None = None
        self.lost_generation: int | None = None  # newest one that was published, if the database lost it

    async def load(self, session: AsyncSession) -> None:
        """Load the published table and the pin."""
        generation = await repository.newest_generation(session)
        self.watch.live.load(generation, await repository.read_entries(session))
        for record in reversed(await repository.list_generations(session, 0, KEPT_GENERATIONS)):
            self.watch.live.remember(record.generation, [Change.from_json(each) for each in record.changes])
        pin = await repository.read_pin(session)
        self.pin = Pin.of(pin) if pin else None

    async def catch_up(self, session: AsyncSession) -> None:
        """Load what other instances have published."""
        known = self.watch.generation
        if await repository.newest_generation(session) < known:
            self.lost_generation = known
            await self.load(session)
            self.watch.wake()
            return
        missed = await repository.list_after(session, self.watch.generation)
        if missed and missed[0].generation != self.watch.generation + 1:
            await self.load(session)
            self.watch.wake()
            return
        for record in missed:
            self.watch.advance(record.generation, [Change.from_json(each) for each in record.changes])
        if await repository.pin_revision(session) != (self.pin.revision if self.pin else None):
            pin = await repository.read_pin(session)
            self.pin = Pin.of(pin) if pin else None

    async def publish(self, session: AsyncSession) -> Callable[[], None] | None:
        """Store the generation that results from a change; None if the table does not change."""
        if self._shared:
            await self.catch_up(session)
        pin = session.info.get("pin", self.pin)
        if "pin" in session.info:
            changes = compare_tables(self.watch.live.entries, await self._current_entries(session, pin))
        else:
            touched = self._touched(session, pin) | await self._rings(session, pin)
            changes = compare_entries(self.watch.live.entries, touched.items())
        epoch = session.info.get("epoch", 0)
        begins = bool(changes or epoch or session.info.get("signed anew"))
        if begins:
            generation = next_number(self.watch.generation, epoch)
            await self._store(session, generation, changes)
        if not begins and pin is self.pin:
            return None

        def announce() -> None:
            self.pin = pin
            if begins:
                self.watch.advance(generation, changes)

        return announce

    async def _current_entries(self, session: AsyncSession, pin: Pin | None) -> dict[Key, Entry]:
        """Return the whole table, from everything that is stored."""
        records: list[EdgeRecord | VipRecord] = [
            *await vips.list_all(session),
            *await edges.list_all(session),
        ]
        published = self.watch.live.entries
        entries: dict[Key, Entry | None] = {}
        if pin is None:
            entries |= {_record_key(record): entry_of(record) for record in records}
            entries |= await rings.stored_rings(session, None, published)
        else:
            alive = {_record_key(record): getattr(record, "alive", True) for record in records}
            entries |= {key: pinned_entry(pin, key, alive=alive.get(key, False)) for key in pin.entries}
            entries |= await rings.pinned_rings(session, None, published, pin.entries)
        return {key: entry for key, entry in entries.items() if entry is not None}

    async def _rings(self, session: AsyncSession, pin: Pin | None) -> dict[Key, Entry | None]:
        published = self.watch.live.entries
        names = rings.affected_sites(session.info.get("touched", {}), published)
        names |= rings.requested_seeds(session)
        if not names:
            return {}
        if pin is None:
            return await rings.stored_rings(session, names, published)
        return await rings.pinned_rings(session, names, published, pin.entries)

    def _touched(self, session: AsyncSession, pin: Pin | None) -> dict[Key, Entry | None]:
        found: dict[Key, Entry | None] = {}
        for record, stored in session.info.get("touched", {}).items():
            if not isinstance(record, EdgeRecord | VipRecord):
                continue
            if pin is None:
                found[_record_key(record)] = entry_of(record) if stored else None
            else:
                found[_record_key(record)] = pinned_entry(
                    pin, _record_key(record), alive=stored and getattr(record, "alive", True)
                )
        return found

    async def _store(self, session: AsyncSession, generation: int, changes: list[Change]) -> None:
        stored = [change.to_json() for change in changes]
        session.add(
            GenerationRecord(
                generation=generation,
                published_at=self._clock.now(),
                changes=stored,
                by_health=session.info.get("by_health", False),
            )
        )
        await repository.store_changes(session, changes)
        await repository.note_removals(session, generation, changes)
        await session.flush()
        await drop_oldest(session, KEPT_GENERATIONS)
