"""A body while it arrives from the origin, for any number of readers, each at its own pace.

As long as it is being kept, all of it can be read: small ones from memory, large ones from a file. When it can be kept
no longer (the disk is full, it is larger than an object may be, or it was never to be kept), it goes on as a window
that the slowest reader moves: readers that have begun lose nothing, and the origin is held back.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("edge.cache")

BLOCK = 256 << 10  # bytes that a reader takes at once
WINDOW = 1 << 20  # bytes that readers may lag behind when nothing is kept
STALL = 30.0  # seconds that one reader may hold up the others


class SpoolFailed(Exception):
    """The body ended early, or this reader was too slow."""


class File(Protocol):
    """Where a large body goes."""

    def write(self, data: bytes) -> None: ...
    def read(self, at: int, length: int) -> bytes: ...
    def discard(self) -> None: ...
    def close(self) -> None: ...


class Spool:
    """Written by one task; `reader` gives a way to read all of it."""

    def __init__(self, make_file: Callable[[], File], *, small: int, limit: int) -> None:
        """Keep up to `small` bytes in memory and up to `limit` in a file; with a limit of 0 keep nothing."""
        self._make_file = make_file
        self._small = small
        self._limit = limit
        self._memory = bytearray()
        self._window: deque[bytes] = deque()
        self._window_start = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._readers: set[SpoolReader] = set()
        self.file: File | None = None
        self.size = 0
        self.keeping = limit > 0
        self.ended = False
        self.failed = False
        self._released = False

    # --- the writer's side

    async def write(self, data: bytes) -> None:
        """Append; waits only while nothing is kept. Raises `SpoolFailed` when nobody is left to read."""
        if self.keeping and not self._keep(data):
            self.keeping = False
            self._window_start = self.size
        if not self.keeping:
            self._window.append(data)
        self.size += len(data)
        self._wake()
        if not self.keeping:
            await self._drain()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def fail(self) -> None:
        """No more comes, and it is not whole."""
        self.failed = self.ended = True
        self._wake()

    def content(self) -> bytes | None:
        """All of a small body that was kept."""
        return bytes(self._memory) if self.file is None and self.keeping else None

    def release(self) -> None:
        """The writer has done with it: the file is closed when the last reader has."""
        self.ended = self._released = True
        self._close_if_unused()

    def _keep(self, data: bytes) -> bool:
        if self.size + len(data) > self._limit:
            return False
        if self.file is None and self.size + len(data) <= self._small:
            self._memory += data
            return True
        try:
            if self.file is None:
                self.file = self._begin_file()
            self.file.write(data)
        except OSError as error:
            log.warning("a response cannot be stored: %s", error)
            if self.file is not None:
                self.file.discard()
            return False
        return True

    def _begin_file(self) -> File:
        file = self._make_file()
        try:
            file.write(bytes(self._memory))
        except OSError:
            file.discard()
            file.close()
            raise
        self._memory.clear()
        return file

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + STALL
        while True:
            slowest = min((reader.at for reader in self._readers), default=None)
            if slowest is None:
                raise SpoolFailed("nobody reads it any more")
            while self._window and self._window_start + len(self._window[0]) <= slowest:
                self._window_start += len(self._window.popleft())
            if self.size - slowest <= WINDOW:
                return
            if loop.time() >= give_up:
                self._drop_laggards()
                continue
            await self.changed(give_up - loop.time())

    def _drop_laggards(self) -> None:
        for reader in [reader for reader in self._readers if self.size - reader.at > WINDOW]:
            reader.too_slow = True
            self._readers.discard(reader)
        self._wake()

    # --- the readers' side

    def reader(self, at: int = 0) -> "SpoolReader":
        made = SpoolReader(self, at)
        self._readers.add(made)
        return made

    def take(self, at: int, most: int) -> bytes:
        """What has arrived from `at` on, at most `most` bytes; empty when there is nothing yet."""
        kept = self.size if self.keeping else self._window_start
        memory = len(self._memory)
        if self.file is None and at < memory:
            return bytes(self._memory[at : at + most])
        if self.file is not None and at < kept:
            return self.file.read(at, min(most, kept - at))
        start = self._window_start
        for part in self._window:
            if start <= at < start + len(part):
                return part[at - start : at - start + most]
            start += len(part)
        return b""

    async def changed(self, timeout: float | None = None) -> None:
        """Wait until something arrives, ends, or is read."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await asyncio.wait([waiter], timeout=timeout)

    def read_on(self) -> None:
        if not self.keeping:
            self._wake()

    def leave(self, reader: "SpoolReader") -> None:
        self._readers.discard(reader)
        self._wake()
        self._close_if_unused()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _close_if_unused(self) -> None:
        if self._released and not self._readers and self.file is not None:
            self.file.close()


class SpoolReader:
    """One reader's place in a spool. `close` it."""

    def __init__(self, spool: Spool, at: int) -> None:
        self._spool = spool
        self.at = at
        self.too_slow = False

    async def read(self, most: int = BLOCK) -> bytes:
        """The next bytes; empty at the end. Raises `SpoolFailed`."""
        while True:
            if self.too_slow:
                raise SpoolFailed("this reader held up the others")
            data = self._spool.take(self.at, most)
            if data:
                self.at += len(data)
                self._spool.read_on()
                return data
            if self._spool.failed:
                raise SpoolFailed("the origin broke off")
            if self._spool.ended and self.at >= self._spool.size:
                return b""
            await self._spool.changed()

    def close(self) -> None:
        self._spool.leave(self)
