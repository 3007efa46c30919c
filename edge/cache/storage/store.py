"""Stored responses on disk and in memory, bounded; shared by the workers of a node.

Reads use a connection of the event loop's thread and take microseconds. Writes run one after the other in a thread of
their own, so that a slow disk delays no request. A disk failure is a miss, or a response that is not stored; never an
error for a client.
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

from edge.cache.rules.lifetimes import NO_POLICY, LifetimePolicy
from edge.cache.rules.search_variance import SearchVariance
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.rules.variants import variant_matches
from edge.cache.storage.body_files import BodyFile, read_cached, remove_orphans
from edge.cache.storage.change_number import ChangeNumber
from edge.cache.storage.index_schema import open_index
from edge.cache.storage.index_writer import ALL_KEYS, ALL_MEMORY, IndexWriter, last_change, search_variances
from edge.cache.storage.memory import MemoryCache
from edge.cache.storage.purge_scope import PurgeScope
from edge.http.fields import Fields

log = logging.getLogger("edge.cache")
T = TypeVar("T")

INLINE_BODY_LIMIT = 64 << 10  # bytes of a body that is stored in its row, and is in memory with its entry
MEMORY_BODY_LIMIT = 256 << 10  # bytes of a body that is kept in memory once it was asked for there
MEMORY_SHARE = 8  # no kept body takes more than the memory's limit divided by this
INVALIDATION_POLL_SECONDS = 0.25  # seconds between checks of the change log without requests
FLUSH_SECONDS = 5.0  # seconds between writes of the times of use
_BY_KEY = (
    "SELECT id, key, variant, status, headers, requested_at, received_at, size, body, file, purged_at"
    " FROM entry WHERE key = ?"
)


class ResponseStore:
    """The stored responses of one node, in `folder`: at most `limit` bytes, each at most `object_limit`."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        object_limit: int,
        memory_limit: int = 128 << 20,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.object_limit = min(object_limit, limit)
        self._name = uuid.uuid4().hex
        path = folder / "index.sqlite"
        self.changes = ChangeNumber(folder / "changes")
        self._writer = IndexWriter(open_index(path), folder, limit, self._name, self.changes)
        self._reader = open_index(path)
        self._thread = ThreadPoolExecutor(1, "cache-writer")
        self._memory = MemoryCache(memory_limit)
        self._used: set[int] = set()
        self.changes.applied = last_change(self._reader)
        self._on_invalidated: Callable[[str], None] = lambda key: None
        self._on_unknown: Callable[[], None] = lambda: None
        left = remove_orphans(folder, self._files)
        if left:
            log.info("removed orphaned body files after a crash: %d", left)

    def watch_invalidations(self, one: Callable[[str], None], everything: Callable[[], None]) -> None:
        """Call `one` with each key that any worker invalidates, `everything` when the keys are unknown."""
        self._on_invalidated, self._on_unknown = one, everything

    # --- reading

    def _files(self) -> set[str]:
        return {row[0] for row in self._reader.execute("SELECT file FROM entry WHERE file IS NOT NULL")}

    def find(self, key: str, asked: Fields, policy: LifetimePolicy = NO_POLICY) -> StoredResponse | None:
        """The newest stored response that the request selects, from memory if present; fresh as `policy` says."""
        entry = self.find_in_memory(key, asked, policy)
        return entry if entry is not None else _select_newest(self.load(key, policy), asked)

    def find_in_memory(
        self, key: str, asked: Fields, policy: LifetimePolicy = NO_POLICY
    ) -> StoredResponse | None:
        """Like `find`, in memory only."""
        self._catch_up()
        entry = _select_newest(self._memory.get(key), asked)
        if entry is None or entry.policy is policy or entry.policy == policy:
            return entry
        # a rule was changed: everything of the key counts anew
        renewed = [one.with_policy(policy) for one in self._memory.get(key)]
        self._memory.put(key, renewed)
        return _select_newest(renewed, asked)

    def keep_body(self, entry: StoredResponse) -> StoredResponse | None:
        """Return an entry of the memory with its body, which is read from the page cache and kept.

        None for a body that is too large, or that only the disk has: the general path reads it in a thread.
        """
        if entry.body is not None:
            return entry
        largest = min(MEMORY_BODY_LIMIT, self._memory.limit // MEMORY_SHARE)
        if entry.file is None or not entry.in_memory or entry.size > largest:
            return None
        body = read_cached(self.folder / entry.file, entry.size)
        if body is None:
            return None
        kept = entry.with_changes(body=body)
        self._memory.replace(entry, kept)
        return kept if kept.in_memory else None

    def load(self, key: str, policy: LifetimePolicy = NO_POLICY) -> Sequence[StoredResponse]:
        """Read all stored responses of `key` from the index."""
        try:
            rows = self._reader.execute(_BY_KEY, (key,)).fetchall()
        except sqlite3.Error as error:
            log.warning("cannot read the cache index: %s", error)
            return ()
        entries = [_row_entry(row, policy) for row in rows]
        self._memory.put(key, entries)
        return entries

    def find_equivalent(
        self, key: str, asked: Fields, policy: LifetimePolicy = NO_POLICY
    ) -> StoredResponse | None:
        """Like `find`, for a URL that differs from that of a stored response in what its No-Vary-Search allows."""
        try:
            variances = search_variances(self._reader, key)
        except sqlite3.Error as error:
            log.warning("cannot read the cache index: %s", error)
            return None
        for variance in variances:
            entry = self.find(variance.canonical_key(key), asked, policy)
            if entry is not None and SearchVariance.parse(entry.fields.get("no-vary-search")) == variance:
                return entry
        return None

    def has_variants(self, key: str, policy: LifetimePolicy = NO_POLICY) -> bool:
        """Whether any response of `key` is stored, selected or not."""
        return bool(self._memory.get(key) or self.load(key, policy))

    def open(self, entry: StoredResponse) -> BinaryIO:
        """Open the body file. Raises FileNotFoundError if it has just been evicted."""
        assert entry.file is not None
        return (self.folder / entry.file).open("rb", buffering=0)

    def record_use(self, entry: StoredResponse) -> None:
        """Record a use; uses are written in batches."""
        self._used.add(entry.id)

    @property
    def size(self) -> int:
        """Bytes charged to all stored responses."""
        return self._state("total")

    @property
    def last_change(self) -> int:
        """Number of the last change that this worker's memory knows."""
        return self.changes.applied

    @property
    def last_purge(self) -> int:
        return self._state("last_purge")

    # --- writing; each returns when the write is complete

    def body_file(self) -> BodyFile:
        """Create a file for a large body. Raises OSError."""
        return BodyFile(self.folder)

    async def insert(
        self,
        entry: StoredResponse,
        file: BodyFile | None,
        tags: Iterable[str],
        since: int | None = None,
        *,
        asked_key: str = "",
    ) -> bool:
        """Store a complete response with its body in the entry or in `file`.

        Return False if the disk fails, or if the key, or the one that was asked for, was invalidated after change
        `since` (`last_change`).
        """
        names = sorted(set(tags))

        def write() -> bool:
            if file is not None:
                file.sync()
            return self._writer.insert(entry, names, since, asked_key)

        try:
            kept = await self._write(write)
        except (sqlite3.Error, OSError) as error:
            log.warning("response of %d bytes not stored: %s", entry.size, error)
            return False
        self._memory.evict(entry.key)
        return kept

    async def refresh(
        self, entry: StoredResponse, tags: Iterable[str] = (), since: int | None = None
    ) -> bool:
        """Write headers, tags and times of an entry that a 304 validated; False as in `insert`."""
        names = sorted(set(tags))
        kept = await self._attempt(lambda: self._writer.refresh(entry, names, since))
        self._memory.evict(entry.key)
        return bool(kept)

    async def invalidate(self, urls: Iterable[str], tags: Iterable[str] = (), host_key: str = "") -> None:
        """Invalidate URLs in every worker, running fetches included (RFC 9111 section 4.4).

        And what has any of `tags`, for which no running fetch of the host of `host_key` is stored.
        """
        named, groups = list(urls), list(tags)
        for url in named:
            self._memory.evict(url)
            self._on_invalidated(url)
        for key in await self._attempt(lambda: self._writer.invalidate(named, groups, host_key)) or ():
            self._memory.evict(key)
        self.apply_invalidations()

    async def remove(self, key: str) -> int:
        """Remove all responses of `key`; return how many."""
        self._memory.evict(key)
        removed = await self._attempt(lambda: self._writer.remove_key(key))
        self._memory.evict(key)
        return removed or 0

    async def purge(self, number: int, scope: PurgeScope) -> int | None:
        """Apply a purge and store its number in one transaction; None if it was already applied.

        Raises `sqlite3.Error`: the caller retries.
        """
        outcome = await self._write(lambda: self._writer.purge(number, scope))
        if outcome is None:
            return None
        if outcome.keys is None:
            self._memory.clear()
        for key in outcome.keys or ():
            self._memory.evict(key)
        return outcome.count

    async def _attempt(self, write: Callable[[], T]) -> T | None:
        try:
            return await self._write(write)
        except sqlite3.Error as error:
            log.warning("cannot write the cache index: %s", error)
            return None

    async def _write(self, write: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, write)

    # --- changes by other workers

    async def run_maintenance(self) -> None:
        """Apply other workers' changes and write times of use, until cancelled."""
        flushed = time.monotonic()
        while True:
            await asyncio.sleep(INVALIDATION_POLL_SECONDS)
            self.apply_invalidations()
            if time.monotonic() - flushed > FLUSH_SECONDS:
                flushed = time.monotonic()
                used, self._used = self._used, set()
                if used:
                    await self._attempt(lambda used=used: self._writer.record_use(used))  # type: ignore[misc]

    def apply_invalidations(self) -> None:
        """Evict entries that other workers changed."""
        try:
            last = last_change(self._reader)
            if last == self.changes.applied:
                return
            rows = self._reader.execute(
                "SELECT seq, key, by FROM gone WHERE seq > ? ORDER BY seq", (self.last_change,)
            ).fetchall()
        except sqlite3.Error as error:
            log.warning("cannot read the cache index: %s", error)
            self._evict_all()
            return
        if not rows or rows[0][0] > self.last_change + 1:
            self._evict_all()  # the change log no longer covers the last change applied
        for _, key, by in rows:
            if by != self._name:
                self._memory.evict(key)
            if by is None and key == ALL_MEMORY:
                self._memory.clear()
            elif by is None and key == ALL_KEYS:
                self._on_unknown()
            elif by is None:
                self._on_invalidated(key)
        self.changes.applied = max(last, rows[-1][0]) if rows else last

    def _catch_up(self) -> None:
        """Apply invalidations before a lookup in memory."""
        if self.changes.is_ahead:
            self.apply_invalidations()

    def _evict_all(self) -> None:
        self._memory.clear()
        self._on_unknown()

    def close(self) -> None:
        self._thread.shutdown()
        self._writer.close()
        self._reader.close()
        self.changes.close()

    def _state(self, name: str) -> int:
        return int(self._reader.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()[0])


def _select_newest(entries: Sequence[StoredResponse], asked: Fields) -> StoredResponse | None:
    if len(entries) == 1:
        return entries[0] if variant_matches(entries[0].variant, asked) else None
    chosen = [entry for entry in entries if variant_matches(entry.variant, asked)]
    return max(chosen, key=lambda entry: entry.received_at - entry.age(entry.received_at), default=None)


def _row_entry(row: tuple, policy: LifetimePolicy) -> StoredResponse:  # type: ignore[type-arg]
    number, key, variant, status, headers, requested_at, received_at, size, body, file, purged_at = row
    return StoredResponse(
        key=key,
        variant=tuple((name, value) for name, value in json.loads(variant)),
        status=status,
        headers=[(name, value) for name, value in json.loads(headers)],
        requested_at=requested_at,
        received_at=received_at,
        size=size,
        policy=policy,
        body=body,
        file=file,
        id=number,
        purged_at=purged_at,
    )
