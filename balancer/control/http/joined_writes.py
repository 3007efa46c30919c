"""A transport that sends the head of an answer and its body at once: uvicorn writes them one after the other.

A thousand agents that wait for the next generation are answered in a turn of the event loop: half of what is sent costs
half the system calls, and with TLS half the records.
"""

import asyncio
from typing import Any

JOINED_BYTES = 64 * 1024  # a longer body is not copied to stand behind its head


class JoinedWrites:
    """Holds a write until the next one, or until the loop's next turn where none follows."""

    __slots__ = ("_held", "_loop", "_transport", "_turn")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self._turn: asyncio.Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Hold `data`, or send what is held with it."""
        if self._turn is None and len(data) < JOINED_BYTES:
            self._held, self._turn = data, self._loop.call_soon(self._send_held)
        elif len(data) < JOINED_BYTES:
            self._held += data
            self._send_held()
        else:
            self._send_held()
            self._transport.write(data)

    def close(self) -> None:
        """Send what is held, and close."""
        self._send_held()
        self._transport.close()

    def _send_held(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            held, self._held, self._turn = self._held, b"", None
            self._transport.write(held)
