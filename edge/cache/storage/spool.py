"""Spool of a body that arrives from the origin, read by any number of readers, each at its own pace.

While the body is kept, all of it can be read: small bodies from memory, large ones from a file. When it cannot be kept
(the disk is full, it exceeds the object limit, or it must not be stored), it continues as a window that the slowest
reader advances: readers lose nothing, and the origin is held back.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("edge.cache")

READ_BLOCK = 256 << 10  # bytes of one read
WINDOW_BYTES = 1 << 20  # bytes that readers may lag behind when the body is not kept
STALL_SECONDS = 30.0  # seconds that one reader may hold up the others


class SpoolFailed(Exception):
    """The body ended early, or this reader was too slow."""


class SpoolFile(Protocol):
    """File of a large body."""

    def write(self, data: bytes) -> None: ...
    def read(self, at: int, length: int) -> bytes: ...
    def discard(self) -> None: ...
    def close(self) -> None: ...


class Spool:
    """A body with one writer and any number of readers."""

    def __init__(self, make_file: Callable[[], SpoolFile], *, small: int, limit: int) -> None:
        """Keep up to `small` bytes in memory and up to `limit` in a file; with a limit of 0 keep nothing."""
        self._make_file = make_file
        self._small = small
        self._limit = limit
        self._memory = bytearray()
        self._window: deque[bytes] = deque()
        self._window_start = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._readers: set[SpoolReader] = set()
        self.file: SpoolFile | None = None
        self.size = 0
        self.is_kept = limit > 0
        self.ended = False
        self.failed = False
        self._released = False
        self.is_closed = False  # whether its file is: who has not begun to read comes too late

    # --- the writer's side

    async def write(self, data: bytes) -> None:
        """Append; waits for readers only if the body is not kept. Raises `SpoolFailed` when no reader is left."""
        if self.is_kept and not self._store_part(data):
            self.is_kept = False
            self._window_start = self.size
        if not self.is_kept:
            self._window.append(data)
        self.size += len(data)
        self._wake()
        if not self.is_kept:
            await self._drain()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def mark_failed(self) -> None:
        """End the body as incomplete."""
        self.failed = self.ended = True
        self._wake()

    def content(self) -> bytes | None:
        """The whole body if it is kept in memory, else None."""
        return bytes(self._memory) if self.file is None and self.is_kept else None

    def release(self) -> None:
        """End writing: the file is closed after the last reader."""
        self.ended = self._released = True
        self._close_if_unused()

    def _store_part(self, data: bytes) -> bool:
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
            log.warning("response not stored: %s", error)
            if self.file is not None:
                self.file.discard()
            return False
        return True

    def _begin_file(self) -> SpoolFile:
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
        give_up = loop.time() + STALL_SECONDS
        while True:
            slowest = min((reader.at for reader in self._readers), default=None)
            if slowest is None:
                raise SpoolFailed("no reader is left")
            while self._window and self._window_start + len(self._window[0]) <= slowest:
                self._window_start += len(self._window.popleft())
            if self.size - slowest <= WINDOW_BYTES:
                return
            if loop.time() >= give_up:
                self._drop_laggards()
                continue
            await self.wait_for_change(give_up - loop.time())

    def _drop_laggards(self) -> None:
        for reader in [reader for reader in self._readers if self.size - reader.at > WINDOW_BYTES]:
            reader.too_slow = True
            self._readers.discard(reader)
        self._wake()

    # --- the readers' side

    def open_reader(self, at: int = 0) -> "SpoolReader":
        made = SpoolReader(self, at)
        self._readers.add(made)
        return made

    def read_at(self, at: int, most: int) -> bytes:
        """Return up to `most` bytes from offset `at`; empty if none have arrived. Raises `SpoolFailed`."""
        kept = self.size if self.is_kept else self._window_start
        memory = len(self._memory)
        if self.file is None and at < memory:
            return bytes(self._memory[at : at + most])
        if self.file is not None and at < kept:
            if self.is_closed:
                raise SpoolFailed("the body was closed before this reader came")
            return self.file.read(at, min(most, kept - at))
        start = self._window_start
        for part in self._window:
            if start <= at < start + len(part):
                return part[at - start : at - start + most]
            start += len(part)
        return b""

    async def wait_for_change(self, timeout: float | None = None) -> None:
        """Wait until data arrives or is read, or the body ends."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await asyncio.wait([waiter], timeout=timeout)

    def read_on(self) -> None:
        if not self.is_kept:
            self._wake()

    def remove_reader(self, reader: "SpoolReader") -> None:
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
            self.is_closed = True


class SpoolReader:
    """One reader's position in a spool. The owner calls `close`."""

    def __init__(self, spool: Spool, at: int) -> None:
        self._spool = spool
        self.at = at
        self.too_slow = False

    async def read(self, most: int = READ_BLOCK) -> bytes:
        """Return the next bytes, empty at the end. Raises `SpoolFailed`."""
        while True:
            if self.too_slow:
                raise SpoolFailed("this reader was too slow")
            data = self._spool.read_at(self.at, most)
            if data:
                self.at += len(data)
                self._spool.read_on()
                return data
            if self._spool.failed:
                raise SpoolFailed("the origin closed the connection before the end of the body")
            if self._spool.ended and self.at >= self._spool.size:
                return b""
            await self._spool.wait_for_change()

    def close(self) -> None:
        self._spool.remove_reader(self)
