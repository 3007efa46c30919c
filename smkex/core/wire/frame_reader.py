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
TLS_HEADER_LENGTH: Final = 5
TLS_RECORD_LIMIT: Final = 16384 + 256  # of one record's body (RFC 8446 section 5.2)


class FrameReader:
    """Split the bytes of one subflow into whole frames.

    It holds at most one unfinished frame. `handshake_only` refuses records before the handshake is done.
    """

    __slots__ = ("_at", "_bytes", "_partial", "handshake_only")

    def __init__(self, *, handshake_only: bool = True) -> None:
        self.handshake_only = handshake_only
        self._bytes = b""
        self._at = 0  # of the first unread byte in `_bytes`
        self._partial: bytearray | None = None  # in the place of `_bytes`, when a frame comes in pieces

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        if self._partial is not None:
            self._partial += data
        elif self._bytes:
            self._partial = bytearray(memoryview(self._bytes)[self._at :])
            self._partial += data
            self._bytes, self._at = b"", 0
        else:
            # common case, whole frames: sliced from bytes, they are copied once
            self._bytes = data if isinstance(data, bytes) else bytes(data)

    def take_frame(self) -> bytes | None:
        """Remove and return the first frame with its header; None until it is whole.

        Raises `MalformedMessage`. The type is the first byte.
        """
        partial = self._partial
        if partial is None:
            head, at, size = self._bytes, self._at, len(self._bytes)
        else:
            head, at, size = bytes(partial[:HEADER_LENGTH]), 0, len(partial)
        if size - at < HEADER_LENGTH:
            return None
        kind = head[at]
        length = head[at + 1] << 16 | head[at + 2] << 8 | head[at + 3]
        if length > self._body_limit(kind):
            raise MalformedMessage(f"a frame of type {FrameType(kind).name} has a body of {length} bytes")
        end = at + HEADER_LENGTH + length
        if end > size:
            return None
        frame = head[at:end] if partial is None else bytes(memoryview(partial)[:end])
        self._take(end)
        return frame

    def frames(self) -> Generator[tuple[FrameType, bytes], None, None]:
        """Yield each whole frame as (type, the frame with its header); raise `MalformedMessage`.

        The caller may stop early; unread frames stay buffered.
        """
        while (frame := self.take_frame()) is not None:
            yield _FRAME_TYPES[frame[0]], frame

    def next_frame(self) -> tuple[FrameType, bytes] | None:
        """Remove and return the first frame; None until it is whole. Raises as `frames`."""
        frame = self.take_frame()
        return None if frame is None else (_FRAME_TYPES[frame[0]], frame)

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
        unread = memoryview(self._bytes)[self._at :] if self._partial is None else memoryview(self._partial)
        if len(unread) < TLS_HEADER_LENGTH:
            return None
        length = int.from_bytes(unread[3:TLS_HEADER_LENGTH], "big")
        if not 20 <= unread[0] <= 23 or length > TLS_RECORD_LIMIT:
            raise MalformedMessage("not a TLS record")
        if len(unread) < TLS_HEADER_LENGTH + length:
            return None
        record = bytes(unread[: TLS_HEADER_LENGTH + length])
        unread.release()
        self._take(self._at + len(record))
        return record

    @property
    def pending(self) -> int:
        """Buffered bytes: an unfinished frame, or unread frames."""
        return len(self._bytes) - self._at if self._partial is None else len(self._partial)

    def _take(self, end: int) -> None:
        """Remove the bytes before `end`."""
        if self._partial is None:
            self._at = end
            if end == len(self._bytes):
                self._bytes, self._at = b"", 0
            return
        del self._partial[:end]  # small pieces do not copy the whole buffer each time
        if not self._partial:
            self._partial = None

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
