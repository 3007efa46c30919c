"""A stream reader that counts what arrives, and hands it on as it came."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

JOINED_BYTES = 64 << 10  # pieces are joined until a read returns as much


class CountingReader(asyncio.StreamReader):
    """As `asyncio.StreamReader`; `received` bytes have been handed to it so far, whether read or not.

    asyncio's copies what arrives into its buffer, and out of it with each read. Here pieces wait as they are, behind
    what the buffer has, and `read` returns them; only the methods that search the buffer move them there.
    """

    if TYPE_CHECKING:  # of asyncio's reader
        _buffer: bytearray
        _eof: bool
        _exception: BaseException | None
        _limit: int
        _paused: bool
        _transport: Any

        async def _wait_for_data(self, func_name: str) -> None: ...
        def _wakeup_waiter(self) -> None: ...

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)
        self.received = 0
        self._pieces: deque[bytes | memoryview] = deque()
        self._waiting = 0  # bytes of the pieces
        self._searching = 0  # running calls of methods that search the buffer
        self._take: Callable[[Any], None] | None = None

    def read_buffered(self, limit: int) -> bytes:
        """Return up to `limit` bytes that have arrived, also after an error."""
        self._fill_buffer()
        data = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return data

    def feed_data(self, data: Any) -> None:
        self.received += len(data)
        if self._take is not None:
            self._take(data)
            return
        if self._searching or not data:
            super().feed_data(data)
            return
        self._pieces.append(bytes(data))
        self._waiting += len(data)
        self._wakeup_waiter()
        if self._transport is not None and not self._paused and self._held > 2 * self._limit:
            self._transport.pause_reading()
            self._paused = True

    async def pass_on(self, take: Callable[[Any], None]) -> None:
        """Call `take` with all that arrives, as it came, until the end. Raises the error of the connection.

        Pausing the connection's transport, and resuming it, is left to `take`.
        """
        while self._held:
            take(await self.read(self._limit))
        if self._exception is not None:
            raise self._exception
        if not self._eof:
            self._take = take
            try:
                await self._wait_for_data("pass_on")
            finally:
                self._take = None

    def at_eof(self) -> bool:
        return super().at_eof() and not self._pieces

    async def read(self, n: int = -1) -> bytes:
        if n <= 0 or self._buffer:
            return await super().read(n)
        if self._exception is not None:
            raise self._exception
        if not self._pieces and not self._eof:
            await self._wait_for_data("read")
        data = self._take_pieces(n)
        self._maybe_resume_transport()
        return data

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        self._fill_buffer()
        self._searching += 1
        try:
            return await super().readuntil(separator)
        finally:
            self._searching -= 1

    async def readexactly(self, n: int) -> bytes:
        self._fill_buffer()
        self._searching += 1
        try:
            return await super().readexactly(n)
        finally:
            self._searching -= 1

    @property
    def _held(self) -> int:
        return len(self._buffer) + self._waiting

    def _maybe_resume_transport(self) -> None:
        if self._paused and self._held <= self._limit:
            self._paused = False
            self._transport.resume_reading()

    def _take_pieces(self, limit: int) -> bytes:
        """Return the first piece, or several small ones joined; `limit` bytes at most."""
        taken: list[bytes | memoryview] = []
        size = 0
        while self._pieces and size < min(limit, JOINED_BYTES):
            piece = self._pieces[0]
            if size + len(piece) > limit:
                if taken:
                    break
                view = memoryview(piece)
                piece, self._pieces[0] = view[:limit], view[limit:]
            else:
                self._pieces.popleft()
            taken.append(piece)
            size += len(piece)
        self._waiting -= size
        return bytes(taken[0]) if len(taken) == 1 else b"".join(taken)

    def _fill_buffer(self) -> None:
        while self._pieces:
            self._buffer.extend(self._pieces.popleft())
        self._waiting = 0
