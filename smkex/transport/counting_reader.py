"""A stream reader that counts what arrives."""

import asyncio
from typing import Any


class CountingReader(asyncio.StreamReader):
    """As `asyncio.StreamReader`; `received` bytes have been handed to it so far, whether read or not."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)
        self.received = 0

    def read_buffered(self, limit: int) -> bytes:
        """Return up to `limit` bytes that have arrived, also after an error."""
        buffer: bytearray = self._buffer  # type: ignore[attr-defined]
        data = bytes(buffer[:limit])
        del buffer[:limit]
        return data

    def feed_data(self, data: Any) -> None:
        self.received += len(data)
        super().feed_data(data)
