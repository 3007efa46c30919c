"""Split the bytes of one subflow into whole frames, or into TLS records (mode mtls, path 0)."""

from collections.abc import Generator

from smkex.core.errors import MalformedMessage
from smkex.core.wire.frame import FRAME_LIMITS, HEADER_LENGTH, FrameType

TLS_HEADER_LENGTH = 5
TLS_RECORD_LIMIT = 16384 + 256  # of one record's body (RFC 8446 section 5.2)


class FrameReader:
    """Split the bytes of one subflow into whole frames.

    It holds at most one unfinished frame. `handshake_only` refuses records before the handshake is done.
    """

    def __init__(self, *, handshake_only: bool = True) -> None:
        self.handshake_only = handshake_only
        self._buffer: bytes | bytearray = b""  # one that is added to is a bytearray

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        if self._buffer:
            self._buffer += data
        else:
            self._buffer = bytes(data)  # common case, whole frames: sliced from bytes, they are copied once

    def frames(self) -> Generator[tuple[FrameType, bytes], None, None]:
        """Yield each whole frame as (type, the frame with its header); raise `MalformedMessage`.

        The caller may stop early; unread frames stay buffered.
        """
        buffer, size, at = self._buffer, len(self._buffer), 0
        try:
            while size - at >= HEADER_LENGTH:
                kind, most = self._frame_limit(buffer[at])
                length = int.from_bytes(buffer[at + 1 : at + HEADER_LENGTH], "big")
                if length > most:
                    raise MalformedMessage(f"a frame of type {kind.name} has a body of {length} bytes")
                end = at + HEADER_LENGTH + length
                if end > size:
                    return
                frame = buffer[at:end] if isinstance(buffer, bytes) else bytes(memoryview(buffer)[at:end])
                at = end
                yield kind, frame
        finally:
            self._take(at)

    def next_frame(self) -> tuple[FrameType, bytes] | None:
        """Remove and return the first frame; None until it is whole. Raises as `frames`."""
        frames = self.frames()
        first = next(frames, None)
        frames.close()  # what follows stays
        return first

    @property
    def first_byte(self) -> int | None:
        """The first unread byte."""
        return self._buffer[0] if self._buffer else None

    def next_tls_record(self) -> bytes | None:
        """Remove and return one whole TLS record (RFC 8446 section 5.1); None until it is whole.

        Raises `MalformedMessage` if the bytes are not a TLS record.
        """
        if len(self._buffer) < TLS_HEADER_LENGTH:
            return None
        length = int.from_bytes(self._buffer[3:TLS_HEADER_LENGTH], "big")
        if not 20 <= self._buffer[0] <= 23 or length > TLS_RECORD_LIMIT:
            raise MalformedMessage("not a TLS record")
        if len(self._buffer) < TLS_HEADER_LENGTH + length:
            return None
        record = bytes(self._buffer[: TLS_HEADER_LENGTH + length])
        self._take(TLS_HEADER_LENGTH + length)
        return record

    @property
    def pending(self) -> int:
        """Buffered bytes: an unfinished frame, or unread frames."""
        return len(self._buffer)

    def _take(self, count: int) -> None:
        if count == len(self._buffer):
            self._buffer = b""
        elif isinstance(self._buffer, bytes):
            self._buffer = bytearray(memoryview(self._buffer)[count:])
        else:  # small pieces do not copy the whole buffer each time
            del self._buffer[:count]

    def _frame_limit(self, value: int) -> tuple[FrameType, int]:
        known = FRAME_LIMITS.get(value)
        if known is None:
            raise MalformedMessage(f"unknown frame type {value}")
        if self.handshake_only and known[0] >= FrameType.DATA:
            raise MalformedMessage("a record arrived before the handshake was done")
        return known
