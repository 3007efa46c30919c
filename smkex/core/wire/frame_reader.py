"""Split the bytes of one subflow into whole frames, or into TLS records (mode mtls, path 0)."""

from collections.abc import Generator
from typing import Final

from smkex.core.errors import MalformedMessage
from smkex.core.wire.frame import (
    CONTROL_LIMIT,
    CONTROL_TYPE,
    DATA_LIMIT,
    DATA_TYPE,
    FRAME_LIMITS,
    HEADER_LENGTH,
    SWITCH_TYPE,
    FrameType,
)

_FRAME_TYPES: Final = {int(kind): kind for kind in FrameType}  # the call of an enum costs ten times as much
VIEW_LENGTH: Final = 4096  # bytes of a record from which a view of it costs less than a copy
TLS_HEADER_LENGTH: Final = 5
TLS_RECORD_LIMIT: Final = 16384 + 256  # of one record's body (RFC 8446 section 5.2)


class FrameReader:
    """Split the bytes of one subflow into whole frames.

    It holds at most one unfinished frame, and what was fed beyond the frames that were taken. `handshake_only` refuses
    records before the handshake is done.
    """

    __slots__ = ("_at", "_bytes", "_lent", "_partial", "handshake_only")

    def __init__(self, *, handshake_only: bool = True) -> None:
        self.handshake_only = handshake_only
        self._partial: bytearray | None = None  # the first part of a frame, before what is unread
        self._bytes = b""
        self._lent: memoryview | None = None  # in place of `_bytes`: bytes of a buffer that is used again
        self._at = 0  # of the first unread byte in either

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        if self._bytes:
            self._bytes = b"".join((self._bytes[self._at :], data))
        else:
            # common case: whole frames are sliced from it, copied once
            self._bytes = data if isinstance(data, bytes) else bytes(data)
        self._at = 0

    def lend(self, data: memoryview) -> None:
        """Feed bytes that stay as they are until `keep_unread`: a large record is taken without a copy."""
        if self._bytes or not data:
            self.feed(data)
        else:
            self._lent, self._at = data, 0

    def keep_unread(self) -> None:
        """Copy what was lent and not taken."""
        if self._lent is not None:
            self._bytes, self._lent, self._at = bytes(self._lent[self._at :]), None, 0

    def take_frame(self) -> bytes | memoryview | None:
        """Remove and return the first frame with its header; None until it is whole.

        A view is a large record, valid until what was lent changes. Raises `MalformedMessage`. The type is the first
        byte.
        """
        if self._partial is not None:
            return self._take_partial(self._partial)
        if self._lent is not None:
            return self._take_lent(self._lent)
        head, at = self._bytes, self._at
        size = len(head)
        if size - at >= HEADER_LENGTH:
            end = at + HEADER_LENGTH + self._body_length(head[at], head[at + 1], head[at + 2], head[at + 3])
            if end <= size:
                self._skip(end)
                return head[at:end]
        if at < size:
            self._partial = bytearray(memoryview(head)[at:])
            self._skip(size)
        return None

    def _take_lent(self, lent: memoryview) -> bytes | memoryview | None:
        at, size = self._at, len(lent)
        if size - at >= HEADER_LENGTH:
            head = bytes(lent[at : at + HEADER_LENGTH])
            end = at + HEADER_LENGTH + self._body_length(head[0], head[1], head[2], head[3])
            if end <= size:
                self._skip(end)
                return _as_frame(lent[at:end])
        self._partial = bytearray(lent[at:])
        self._skip(size)
        return None

    def _take_partial(self, partial: bytearray) -> bytes | memoryview | None:
        """Complete a frame whose first part came before; what follows it stays where it is."""
        if not self._complete(partial, HEADER_LENGTH):
            return None
        length = self._body_length(partial[0], partial[1], partial[2], partial[3])
        if not self._complete(partial, HEADER_LENGTH + length):
            return None
        self._partial = None
        return _as_frame(memoryview(partial))

    def _complete(self, partial: bytearray, size: int) -> bool:
        """Move bytes to `partial` until it has `size`, as far as there are any; return whether it has."""
        missing = size - len(partial)
        if missing > 0:
            unread = self._lent if self._lent is not None else memoryview(self._bytes)
            end = min(self._at + missing, len(unread))
            partial += unread[self._at : end]
            self._skip(end)
        return len(partial) >= size

    def _body_length(self, kind: int, high: int, middle: int, low: int) -> int:
        """Return the length of a frame's body from its header; raises `MalformedMessage` for one beyond its limit."""
        length = high << 16 | middle << 8 | low
        if length > self._body_limit(kind):
            raise MalformedMessage(f"a frame of type {FrameType(kind).name} has a body of {length} bytes")
        return length

    def frames(self) -> Generator[tuple[FrameType, bytes], None, None]:
        """Yield each whole frame as (type, the frame with its header); raise `MalformedMessage`.

        The caller may stop early; unread frames stay buffered.
        """
        while (frame := self.next_frame()) is not None:
            yield frame

    def next_frame(self) -> tuple[FrameType, bytes] | None:
        """Remove and return the first frame; None until it is whole. Raises as `frames`."""
        taken = self.take_frame()
        if taken is None:
            return None
        frame = bytes(taken)
        return _FRAME_TYPES[frame[0]], frame

    @property
    def first_byte(self) -> int | None:
        """The first unread byte."""
        if self._partial is not None:
            return self._partial[0]
        return self._bytes[self._at] if self._bytes else None

    def next_tls_record(self) -> bytes | None:
        """Remove and return one whole TLS record (RFC 8446 section 5.1); None until it is whole.

        Raises `MalformedMessage` if the bytes are not a TLS record.
        """
        if self._partial is not None:  # a reader of frames has begun on it
            self._bytes, self._at = bytes(self._partial) + self._bytes[self._at :], 0
            self._partial = None
        unread = memoryview(self._bytes)[self._at :]
        if len(unread) < TLS_HEADER_LENGTH:
            return None
        length = int.from_bytes(unread[3:TLS_HEADER_LENGTH], "big")
        if not 20 <= unread[0] <= 23 or length > TLS_RECORD_LIMIT:
            raise MalformedMessage("not a TLS record")
        if len(unread) < TLS_HEADER_LENGTH + length:
            return None
        record = bytes(unread[: TLS_HEADER_LENGTH + length])
        self._skip(self._at + len(record))
        return record

    @property
    def pending(self) -> int:
        """Buffered bytes: an unfinished frame, and unread frames."""
        unread = len(self._bytes) - self._at
        return unread if self._partial is None else unread + len(self._partial)

    def _skip(self, end: int) -> None:
        """What lies before `end` is taken."""
        self._at = end
        if self._lent is not None:
            if end == len(self._lent):
                self._lent, self._at = None, 0
        elif end == len(self._bytes):
            self._bytes, self._at = b"", 0

    def _body_limit(self, kind: int) -> int:
        """Return the greatest length of a body of type `kind`. Raises `MalformedMessage` where it is not allowed."""
        if self.handshake_only and DATA_TYPE <= kind <= SWITCH_TYPE:
            raise MalformedMessage("a record arrived before the handshake was done")
        if kind == DATA_TYPE:
            return DATA_LIMIT
        if kind == CONTROL_TYPE:
            return CONTROL_LIMIT
        known = FRAME_LIMITS.get(kind)
        if known is None:
            raise MalformedMessage(f"unknown frame type {kind}")
        return known[1]


def _as_frame(view: memoryview) -> bytes | memoryview:
    """Return a large record as it is, and anything else as bytes, which cost less to look at."""
    return view if len(view) >= VIEW_LENGTH and view[0] == DATA_TYPE else bytes(view)
