"""Stored responses on disk and in memory, bounded; shared by the workers of a node.

Reads go through a connection of the event loop's thread and take microseconds. Writes go one after the other through a
thread of their own, so that a slow disk delays no request. Every failure of the disk is a miss, or a response that is
not kept; never an error to a client.
"""

import asyncio
import json
import logging
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from edge.cache.entry import Entry
from edge.cache.rules.variants import selects
from edge.cache.storage.body_files import BodyFile, sweep
from edge.cache.storage.change_number import ChangeNumber
from edge.cache.storage.index_schema import open_index
from edge.cache.storage.index_writer import ANY, Writer, last_change
from edge.cache.storage.memory import Memory
from edge.http.fields import Fields

log = logging.getLogger("edge.cache")
T = TypeVar("T")

SMALL = 64 << 10  # bytes of a body that lies in its row, and in memory
HEAR_EVERY = 0.25  # seconds between looks at what other workers have changed, where no request looks before
FLUSH_EVERY = 5.0  # seconds between writes of what was used
_BY_KEY = (
    "SELECT id, key, variant, status, headers, requested_at, received_at, size, body, file"
    " FROM entry WHERE key = ?"
)


class Store:
    """The stored responses of one node, in `folder`: at most `limit` bytes, each at most `object_limit`."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        object_limit: int,
        memory_limit: int = 128 << 20,
        negative_seconds: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.object_limit = min(object_limit, limit)
        self.negative_seconds = negative_seconds
        self._name = uuid.uuid4().hex
        path = folder / "index.sqlite"
        self._changes = ChangeNumber(folder / "changes")
        self._writer = Writer(open_index(path), folder, limit, self._name, self._changes)
        self._reader = open_index(path)
        self._thread = ThreadPoolExecutor(1, "cache-writer")
        self._memory = Memory(memory_limit)
        self._used: set[int] = set()
        self.heard = last_change(self._reader)
        self._on_invalidated: Callable[[str], None] = lambda key: None
        self._on_unknown: Callable[[], None] = lambda: None
        left = sweep(folder, self._files)
        if left:
            log.info("removed %d bodies that a crash had left", left)

    def watch_invalidations(self, one: Callable[[str], None], everything: Callable[[], None]) -> None:
        """Call `one` with each key that any worker has invalidated, `everything` where it is not known which."""
        self._on_invalidated, self._on_unknown = one, everything

    # --- reading

    def _files(self) -> set[str]:
        return {row[0] for row in self._reader.execute("SELECT file FROM entry WHERE file IS NOT NULL")}

    def find(self, key: str, asked: Fields) -> Entry | None:
        """The stored response that the request selects, the newest of them; from memory where it is there."""
        self._catch_up()
        entry = _select(self._memory.get(key), asked)
        return entry if entry is not None else _select(self.load(key), asked)

    def remembered(self, key: str, asked: Fields) -> Entry | None:
        """As `find`, of what is in memory and nothing more."""
        self._catch_up()
        return _select(self._memory.get(key), asked)

    def load(self, key: str) -> Sequence[Entry]:
        """All stored responses to `key` as the index has them now."""
        try:
            rows = self._reader.execute(_BY_KEY, (key,)).fetchall()
        except sqlite3.Error as error:
            log.warning("the cache's index cannot be read: %s", error)
            return ()
        entries = [_entry(row, self.negative_seconds) for row in rows]
        self._memory.put(key, entries)
        return entries

    def known_variants(self, key: str) -> bool:
        """Whether any response to `key` is stored, selected or not."""
        return bool(self._memory.get(key) or self.load(key))

    def open(self, entry: Entry) -> BinaryIO:
        """The file of a body that is not in its row. Raises FileNotFoundError when it has just been evicted."""
        assert entry.file is not None
        return (self.folder / entry.file).open("rb", buffering=0)

    def use(self, entry: Entry) -> None:
        """Note that it was asked for; written down together with others."""
        self._used.add(entry.id)

    @property
    def size(self) -> int:
        """Bytes charged to all stored responses."""
        return self._state("total")

    @property
    def last_purge(self) -> int:
        return self._state("last_purge")

    # --- writing; each returns once it is done

    def body_file(self) -> BodyFile:
        """A file for a large body. Raises OSError."""
        return BodyFile(self.folder)

    async def keep(
        self, entry: Entry, file: BodyFile | None, tags: Iterable[str], since: int | None = None
    ) -> bool:
        """Store a whole response, with its body in the entry or in `file`.

        Return False where the disk fails, or where its key was invalidated after change `since` (`heard`).
        """
        names = sorted(set(tags))

        def write() -> bool:
            if file is not None:
                file.sync()
            return self._writer.keep(entry, names, since)

        try:
            kept = await self._write(write)
        except (sqlite3.Error, OSError) as error:
            log.warning("a response of %d bytes could not be stored: %s", entry.size, error)
            return False
        self._memory.forget(entry.key)
        return kept

    async def refresh(self, entry: Entry, since: int | None = None) -> bool:
        """Write down the headers and times of an entry that the origin has confirmed (304); False as `keep`."""
        kept = await self._attempt(lambda: self._writer.refresh(entry, since))
        self._memory.forget(entry.key)
        return bool(kept)

    async def invalidate(self, keys: Iterable[str]) -> None:
        """Remove all responses to `keys`, in every worker, and what is on its way for them (RFC 9111 section 4.4)."""
        named = list(keys)
        for key in named:
            self._memory.forget(key)
            self._on_invalidated(key)
        await self._attempt(lambda: self._writer.invalidate(named))
        self.hear()

    async def remove(self, key: str) -> int:
        """Remove all responses to `key`; return how many."""
        self._memory.forget(key)
        removed = await self._attempt(lambda: self._writer.remove_key(key))
        self._memory.forget(key)
        return removed or 0

    async def purge(self, number: int, keys: Sequence[str], tags: Sequence[str]) -> int | None:
        """Remove what a purge names and remember its number, in one; None when it was applied before.

        Raises `sqlite3.Error`: a purge must not be lost.
        """
        names = await self._write(lambda: self._writer.purge(number, keys, tags))
        for key in names or ():
            self._memory.forget(key)
        return None if names is None else len(names)

    async def _attempt(self, write: Callable[[], T]) -> T | None:
        try:
            return await self._write(write)
        except sqlite3.Error as error:
            log.warning("the cache's index cannot be written: %s", error)
            return None

    async def _write(self, write: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, write)

    # --- keeping up

    async def keep_up(self) -> None:
        """Hear of other workers' changes, and write down what was used; until cancelled."""
        flushed = time.monotonic()
        while True:
            await asyncio.sleep(HEAR_EVERY)
            self.hear()
            if time.monotonic() - flushed > FLUSH_EVERY:
                flushed = time.monotonic()
                used, self._used = self._used, set()
                if used:
                    await self._attempt(lambda used=used: self._writer.used(used))  # type: ignore[misc]

    def hear(self) -> None:
        """Forget in memory what other workers have changed."""
        try:
            last = last_change(self._reader)
            if last == self.heard:
                return
            rows = self._reader.execute(
                "SELECT seq, key, by FROM gone WHERE seq > ? ORDER BY seq", (self.heard,)
            ).fetchall()
        except sqlite3.Error as error:
            log.warning("the cache's index cannot be read: %s", error)
            self._forget_all()
            return
        if not rows or rows[0][0] > self.heard + 1:
            self._forget_all()  # the log of changes begins after what was heard last
        for _, key, by in rows:
            if by != self._name:
                self._memory.forget(key)
            if by is None and key == ANY:
                self._on_unknown()
            elif by is None:
                self._on_invalidated(key)
        self.heard = max(last, rows[-1][0]) if rows else last

    def _catch_up(self) -> None:
        """Hear at once of what another worker has invalidated: what is in memory is about to be served."""
        if self._changes.value != self.heard:
            self.hear()

    def _forget_all(self) -> None:
        self._memory.clear()
        self._on_unknown()

    def close(self) -> None:
        self._thread.shutdown()
        self._writer.close()
        self._reader.close()
        self._changes.close()

    def _state(self, name: str) -> int:
        return int(self._reader.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()[0])


def _select(entries: Sequence[Entry], asked: Fields) -> Entry | None:
    if len(entries) == 1:
        return entries[0] if selects(entries[0].variant, asked) else None
    chosen = [entry for entry in entries if selects(entry.variant, asked)]
    return max(chosen, key=lambda entry: entry.received_at - entry.age(entry.received_at), default=None)


def _entry(row: tuple, negative_seconds: int) -> Entry:  # type: ignore[type-arg]
    number, key, variant, status, headers, requested_at, received_at, size, body, file = row
    return Entry(
        key=key,
        variant=tuple((name, value) for name, value in json.loads(variant)),
        status=status,
        headers=[(name, value) for name, value in json.loads(headers)],
        requested_at=requested_at,
        received_at=received_at,
        size=size,
        negative_seconds=negative_seconds,
        body=body,
        file=file,
        id=number,
    )
