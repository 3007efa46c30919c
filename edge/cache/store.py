"""Responses on disk, whole or not at all, bounded in number of bytes; the least recently used go first.

A response is two files named by the hash of its key: the body, and a JSON of key, headers and times that is
renamed into place last. Whatever a crash leaves unnamed is removed at the next start.
"""

import hashlib
import json
import os
import uuid
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(slots=True)
class Stored:
    """One stored response. `stored_at` is the time of its last validation, in seconds since the epoch."""

    key: str
    body: str
    size: int
    headers: dict[str, str]
    stored_at: float


class Incoming:
    """A body on its way to the store: `write`, then `Store.commit` or `abandon`."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.size = 0
        self._limit = limit
        self._file: BinaryIO | None = path.open("xb")

    def write(self, data: bytes) -> bool:
        """Append; False, and abandoned, when it grows beyond the limit of one response."""
        if self._file is None:
            return False
        self.size += len(data)
        if self.size > self._limit:
            self.abandon()
            return False
        self._file.write(data)
        return True

    def finish(self) -> bool:
        if self._file is None:
            return False
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        return True

    def abandon(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self.path.unlink(missing_ok=True)


class Store:
    """All stored responses of one edge, in `folder`, at most `limit` bytes, each at most `object_limit`."""

    def __init__(self, folder: Path, limit: int, object_limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._object_limit = object_limit
        self._entries: OrderedDict[str, Stored] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)
        self._load()

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self._entries.values())

    def get(self, key: str) -> Stored | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def open(self, entry: Stored) -> BinaryIO:
        return (self._folder / entry.body).open("rb")

    def incoming(self) -> Incoming:
        return Incoming(self._folder / f"{uuid.uuid4().hex}.body", min(self._object_limit, self._limit))

    def commit(self, key: str, incoming: Incoming, headers: dict[str, str], now: float) -> None:
        """Make a finished body the response to `key`."""
        if not incoming.finish():
            return
        entry = Stored(key, incoming.path.name, incoming.size, headers, now)
        self._name(entry)
        old = self._entries.pop(key, None)
        if old is not None:
            (self._folder / old.body).unlink(missing_ok=True)
        self._entries[key] = entry
        self._evict()

    def refresh(self, entry: Stored, headers: dict[str, str], now: float) -> None:
        """The origin has confirmed the response (304)."""
        entry.headers.update(headers)
        entry.stored_at = now
        self._name(entry)

    def remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._meta(key).unlink(missing_ok=True)
            (self._folder / entry.body).unlink(missing_ok=True)

    def _meta(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _name(self, entry: Stored) -> None:
        path = self._meta(entry.key)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(entry)))
        os.replace(temporary, path)

    def _evict(self) -> None:
        size = self.size
        while size > self._limit and self._entries:
            key, entry = next(iter(self._entries.items()))
            size -= entry.size
            self.remove(key)

    def _load(self) -> None:
        bodies: set[str] = set()
        for path in sorted(self._folder.glob("*.json"), key=lambda p: p.stat().st_mtime):
            try:
                entry = Stored(**json.loads(path.read_text()))
                whole = (self._folder / entry.body).stat().st_size == entry.size
            except (OSError, ValueError, TypeError):
                whole = False
            if whole:
                self._entries[entry.key] = entry
                bodies.add(entry.body)
            else:
                path.unlink(missing_ok=True)
        for path in [*self._folder.glob("*.body"), *self._folder.glob("*.new")]:
            if path.name not in bodies:
                path.unlink(missing_ok=True)
        self._evict()
