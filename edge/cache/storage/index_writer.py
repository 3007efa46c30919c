"""Transactions on the index of stored responses. Runs in the store's writer thread."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge.cache.rules.keys import all_of_host, url_of
from edge.cache.rules.search_variance import SearchVariance, tag_range, variance_of_tag
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.change_number import ChangeNumber
from edge.cache.storage.purge_scope import PurgeScope

SEARCH_VARIANCES_LIMIT = 8  # different No-Vary-Search of one path that are looked at
VARIANTS_LIMIT = 16  # stored responses of one URL; the oldest is evicted
EVICTION_LOW_WATER = 0.97  # fraction of the limit that eviction leaves, so that not every insert evicts
EVICTION_BATCH = 64  # entries evicted at once
ALL_KEYS = ""  # in the change log: running fetches of every key
ALL_MEMORY = " "  # in the change log: every entry in memory
CHANGE_LOG_SECONDS = 60.0  # seconds that the change log covers
# a URL is the whole key, or the part before the last space
_OF_URL = "(key = ? OR (key > ? || ' ' AND key < ? || '!'))"
_IN_RANGE = "key >= ? AND key < ?"
_OF_TAG = "id IN (SELECT entry FROM tag WHERE tag = ?)"


@dataclass(frozen=True, slots=True)
class PurgeOutcome:
    """How many responses a purge touched, and their keys; None for keys that may be too many to name."""

    count: int
    keys: list[str] | None


def _conditions_of(scope: PurgeScope) -> Iterator[tuple[str, Sequence[object]]]:
    for url in scope.urls:
        yield _OF_URL, (url, url, url)
    for tag in scope.tags:
        yield _OF_TAG, (tag,)
    for first, end in scope.ranges:
        yield _IN_RANGE, (first, end)


def last_change(index: sqlite3.Connection) -> int:
    """Number of the newest row of the change log, also after that row was deleted."""
    row = index.execute("SELECT seq FROM sqlite_sequence WHERE name = 'gone'").fetchone()
    return int(row[0]) if row is not None else 0


def search_variances(index: sqlite3.Connection, key: str) -> list[SearchVariance]:
    """The different No-Vary-Search of stored responses with the path of `key`."""
    found: list[SearchVariance] = []
    last, end = tag_range(key)
    while len(found) < SEARCH_VARIANCES_LIMIT:
        query = "SELECT tag FROM tag WHERE tag > ? AND tag < ? ORDER BY tag LIMIT 1"
        row = index.execute(query, (last, end)).fetchone()
        if row is None:
            break
        last = row[0]
        found.append(variance_of_tag(last))
    return found


class IndexWriter:
    """This worker's only writing connection."""

    def __init__(
        self, index: sqlite3.Connection, folder: Path, limit: int, name: str, changes: ChangeNumber
    ) -> None:
        self._index = index
        self._changes = changes
        self._folder = folder
        self._limit = limit
        self._name = name

    def insert(
        self, entry: StoredResponse, tags: Sequence[str], since: int | None = None, asked_key: str = ""
    ) -> bool:
        """Replace the response of this key and variant, then evict down to the limit.

        Return False, with nothing stored, if the key, or that of the request, was invalidated after change `since`.
        """
        variant = json.dumps(entry.variant)
        cost = entry.cost()
        with self._transaction() as files:
            if self._is_invalidated(entry.key, since) or (
                asked_key and self._is_invalidated(asked_key, since)
            ):
                return False
            files += self._delete("key = ? AND variant = ?", (entry.key, variant))
            others = "SELECT id FROM entry WHERE key = ? ORDER BY received_at DESC, id DESC LIMIT -1 OFFSET ?"
            files += self._delete(f"id IN ({others})", (entry.key, VARIANTS_LIMIT - 1))
            files += self._evict(self._limit - cost)
            done = self._index.execute(
                "INSERT INTO entry (key, variant, status, headers, requested_at, received_at, size, body, file, cost,"
                " used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.key,
                    variant,
                    entry.status,
                    json.dumps(entry.headers),
                    entry.requested_at,
                    entry.received_at,
                    entry.size,
                    entry.body,
                    entry.file,
                    cost,
                    time.time(),
                ),
            )
            entry.id = done.lastrowid or 0
            self._set_tags(entry.id, tags)
            self._log_changes([entry.key])
        return True

    def refresh(self, entry: StoredResponse, tags: Sequence[str], since: int | None = None) -> bool:
        """Update headers, tags and times of a validated entry; False if it was invalidated after change `since`."""
        with self._transaction():
            if self._is_invalidated(entry.key, since):
                return False
            self._index.execute(
                "UPDATE entry SET headers = ?, requested_at = ?, received_at = ?, purged_at = NULL WHERE id = ?",
                (json.dumps(entry.headers), entry.requested_at, entry.received_at, entry.id),
            )
            if self._index.execute("SELECT 1 FROM entry WHERE id = ?", (entry.id,)).fetchone() is not None:
                self._index.execute("DELETE FROM tag WHERE entry = ?", (entry.id,))
                self._set_tags(entry.id, tags)
            self._log_changes([entry.key])
        return True

    def _set_tags(self, number: int, tags: Sequence[str]) -> None:
        self._index.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", [(tag, number) for tag in tags])

    def invalidate(self, urls: Iterable[str], tags: Iterable[str] = (), host_key: str = "") -> list[str]:
        """Remove all responses of URLs and of tags, and keep running fetches for them, in any worker, out of the index.

        What tags a running fetch will have is not known: with tags none of the host of `host_key` is stored. Return the
        keys that lost a response.
        """
        touched: list[str] = []
        with self._transaction() as files:
            for url in self._with_equivalents(urls):
                touched += self._remove_matching(files, _OF_URL, (url, url, url))
                self._log_invalidation(url)
            for tag in tags:
                touched += self._remove_matching(files, _OF_TAG, (tag,))
            if host_key:
                self._log_invalidation(all_of_host(host_key))
        return touched

    def _with_equivalents(self, urls: Iterable[str]) -> list[str]:
        """Return the URLs, and the form of each under which a response for it may be stored (No-Vary-Search)."""
        found = dict.fromkeys(urls)
        for url in list(found):
            found |= dict.fromkeys(one.canonical_key(url) for one in search_variances(self._index, url))
        return list(found)

    def remove_key(self, key: str) -> int:
        with self._transaction() as files:
            count = int(self._index.execute("SELECT count(*) FROM entry WHERE key = ?", (key,)).fetchone()[0])
            if count:
                files += self._delete("key = ?", (key,))
                self._log_changes([key])
        return count

    def purge(self, number: int, scope: PurgeScope) -> PurgeOutcome | None:
        """Apply purge `number` once; return what it touched, None if it was already applied."""
        with self._transaction() as files:
            last = self._index.execute("SELECT value FROM state WHERE name = 'last_purge'").fetchone()[0]
            if number <= last:
                return None
            touched: list[str] = []
            scope = replace(scope, urls=tuple(self._with_equivalents(scope.urls)))
            for where, values in _conditions_of(scope):
                touched += self._purge_matching(files, where, values, soft_at=scope.soft_at)
            outcome = PurgeOutcome(len(touched), None if scope.ranges else touched)
            if scope.ranges:
                self._log_invalidation(ALL_MEMORY)  # a row for each key could be millions
            else:
                self._log_changes(touched)
            for key in [*scope.urls, *([ALL_KEYS] if scope.covers_unknown else [])]:
                self._log_invalidation(key)
            self._index.execute("UPDATE state SET value = ? WHERE name = 'last_purge'", (number,))
        return outcome

    def _purge_matching(
        self, files: list[str], where: str, values: Sequence[object], *, soft_at: float | None
    ) -> list[str]:
        """Remove entries and add their files to `files`, or make them stale; return the key of each."""
        if soft_at is not None:
            rows = self._index.execute(
                f"UPDATE entry SET purged_at = ? WHERE purged_at IS NULL AND {where} RETURNING key",  # noqa: S608
                (soft_at, *values),
            )
            return [row[0] for row in rows.fetchall()]
        keys = [row[0] for row in self._index.execute(f"SELECT key FROM entry WHERE {where}", values)]  # noqa: S608
        files += self._delete(where, values)
        return keys

    def record_use(self, numbers: Iterable[int]) -> None:
        now = time.time()
        with self._transaction():
            self._index.executemany("UPDATE entry SET used = ? WHERE id = ?", [(now, n) for n in numbers])
            self._index.execute("DELETE FROM gone WHERE at < ?", (now - CHANGE_LOG_SECONDS,))

    def close(self) -> None:
        self._index.close()

    def _evict(self, room: int) -> list[str]:
        """Evict the least recently used entries until the others take at most `room` bytes."""
        files: list[str] = []
        total = self._total()
        target = room if total <= room else min(room, int(self._limit * EVICTION_LOW_WATER))
        while total > target:
            oldest = "SELECT id FROM entry ORDER BY used LIMIT ?"
            numbers = [row[0] for row in self._index.execute(oldest, (EVICTION_BATCH,))]
            if not numbers:
                break
            for number in numbers:
                files += self._delete("id = ?", (number,))
                total = self._total()
                if total <= target:
                    break
        return files

    def _total(self) -> int:
        return int(self._index.execute("SELECT value FROM state WHERE name = 'total'").fetchone()[0])

    def _delete(self, where: str, values: Sequence[object]) -> list[str]:
        # log it too: another worker may have the entry in memory, and its file is deleted
        self._index.execute(
            f"INSERT INTO gone (key, by, at) SELECT key, ?, ? FROM entry WHERE file IS NOT NULL AND {where}",  # noqa: S608
            (self._name, time.time(), *values),
        )
        rows = self._index.execute(f"DELETE FROM entry WHERE {where} RETURNING file", values).fetchall()  # noqa: S608
        return [row[0] for row in rows if row[0] is not None]

    def _remove_matching(self, files: list[str], where: str, values: Sequence[object]) -> list[str]:
        """Remove entries; add their files to `files` and return their keys."""
        rows = self._index.execute(f"SELECT DISTINCT key FROM entry WHERE {where}", values)  # noqa: S608
        keys = [row[0] for row in rows]
        files += self._delete(where, values)
        self._log_changes(keys)
        return keys

    def _is_invalidated(self, key: str, since: int | None) -> bool:
        found = self._index.execute(
            "SELECT 1 FROM gone WHERE seq > ? AND key IN (?, ?, ?) AND by IS NULL LIMIT 1",
            (since, url_of(key), all_of_host(key), ALL_KEYS),
        )
        return since is not None and found.fetchone() is not None

    def _log_invalidation(self, key: str) -> None:
        """Log an invalidation: running fetches of `key`, in any worker, may bring an older state."""
        self._index.execute("INSERT INTO gone (key, by, at) VALUES (?, NULL, ?)", (key, time.time()))

    def _log_changes(self, keys: Iterable[str]) -> None:
        now = time.time()
        self._index.executemany(
            "INSERT INTO gone (key, by, at) VALUES (?, ?, ?)", [(key, self._name, now) for key in keys]
        )

    def _publish_change_number(self, number: int) -> None:
        try:
            self._changes.set(number)
        except OSError as error:
            raise sqlite3.OperationalError(f"cannot write the change number: {error}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[list[str]]:
        """Commit at the end, then delete the files named in the list."""
        files: list[str] = []
        self._index.execute("BEGIN IMMEDIATE")
        try:
            yield files
            # before the commit, so that numbers are published in the order of the transactions
            self._publish_change_number(last_change(self._index))
            self._index.execute("COMMIT")
        except BaseException:
            if self._index.in_transaction:
                self._index.execute("ROLLBACK")
            raise
        for name in files:
            (self._folder / name).unlink(missing_ok=True)
