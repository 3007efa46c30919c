"""Records: bytes of the stream, sealed once under a nonce from their DSN, never split, merged or resealed.

A record's frame is header, DSN (8 bytes), ciphertext and tag; header and DSN, that is type, length and position,
are associated data. The key epoch is DSN >> 24: both ends change keys at the same byte without a message. The two bits
above the DSN are the phase: the number of the key step, modulo 4.
"""

import struct
from typing import Final

from cryptography.exceptions import InvalidTag

from smkex.core.errors import BadRecord, MalformedMessage
from smkex.core.keys.epoch_chain import DSN_BITS, EPOCH_SHIFT, EpochChain
from smkex.core.wire.frame import DATA_TYPE, HEADER_LENGTH, RECORD_DATA_LIMIT, TAG_LENGTH
from smkex.core.wire.frame_reader import VIEW_LENGTH

DSN_LENGTH: Final = 8
PREFIX_LENGTH: Final = HEADER_LENGTH + DSN_LENGTH
OVERHEAD: Final = PREFIX_LENGTH + TAG_LENGTH
_PREFIX: Final = struct.Struct(">IQ")  # type and length, DSN
_TYPE: Final = DATA_TYPE << 24
DSN_LIMIT: Final = 1 << DSN_BITS
DSN_MASK: Final = DSN_LIMIT - 1
PHASE_SHIFT: Final = DSN_BITS - 56  # in the first byte of the field
UNACKNOWLEDGED_LIMIT: Final = (
    1024  # records sent and not acknowledged by their DSN: eight windows of full ones
)


class SealedRecord:
    """A sealed record, kept until the other end has received it.

    `paths` has a bit for each path on which it may still arrive, `copies` counts transmissions, `sent_at` is the time
    of the last.
    """

    __slots__ = ("arrived", "copies", "dsn", "end", "frame", "paths", "sent_at")

    def __init__(self, dsn: int, end: int, frame: bytes) -> None:
        self.dsn = dsn
        self.end = end
        self.frame = frame
        self.paths = 0
        self.copies = 0
        self.sent_at = 0.0
        self.arrived = False

    def carriers(self) -> list[int]:
        """The paths on which it may still arrive."""
        return [number for number in range(self.paths.bit_length()) if self.paths >> number & 1]

    def mark_received(self) -> None:
        """Mark it received and free its bytes."""
        self.arrived = True
        self.frame = b""


def seal(keys: EpochChain, dsn: int, data: bytes | memoryview) -> SealedRecord:
    """Seal 1 to 65,536 bytes of the stream that begin at `dsn`; the keys of the epochs before its end are erased."""
    end = dsn + len(data)
    if not 1 <= len(data) <= RECORD_DATA_LIMIT or end > DSN_LIMIT:
        raise ValueError(f"cannot seal a record of {len(data)} bytes at DSN {dsn}")
    field = keys.phase << DSN_BITS | dsn if keys.phase else dsn
    prefix = _PREFIX.pack(_TYPE + DSN_LENGTH + len(data) + TAG_LENGTH, field)
    key = keys.find_key(dsn >> EPOCH_SHIFT)
    if key is None:
        raise ValueError(f"the key for DSN {dsn} is erased")
    record = SealedRecord(dsn, end, prefix + key.seal(dsn, data, prefix))
    keys.advance_to(end >> EPOCH_SHIFT)
    return record


def unseal(keys: EpochChain, frame: bytes | memoryview) -> tuple[int, bytes]:
    """Open a record's frame: (DSN, data); no data for one of an epoch that has passed, which repeats received bytes.

    `keys` are those of its phase. Raises `MalformedMessage` or `BadRecord`.
    """
    if len(frame) <= OVERHEAD:
        raise MalformedMessage("a record carries no data")
    prefix = record_prefix(frame)
    dsn = read_dsn(prefix)
    key = keys.find_key(dsn >> EPOCH_SHIFT)
    if key is None:
        return dsn, b""
    try:
        if isinstance(frame, bytes):
            if len(frame) < VIEW_LENGTH:
                return dsn, key.open(dsn, frame[PREFIX_LENGTH:], prefix)
            frame = memoryview(frame)
        return dsn, key.open(dsn, frame[PREFIX_LENGTH:], prefix)
    except InvalidTag:
        raise BadRecord from None


def record_prefix(frame: bytes | memoryview) -> bytes:
    """Return header and field of a record's frame, which are its associated data."""
    return frame[:PREFIX_LENGTH] if isinstance(frame, bytes) else bytes(frame[:PREFIX_LENGTH])


def read_dsn(prefix: bytes) -> int:
    """Return the DSN of a record's prefix, or of its whole frame, without its phase."""
    # byte by byte: compiled, it makes no object, as a slice and `int.from_bytes` would for each record
    high = prefix[4] << 24 | prefix[5] << 16 | prefix[6] << 8 | prefix[7]
    low = prefix[8] << 24 | prefix[9] << 16 | prefix[10] << 8 | prefix[11]
    return (high << 32 | low) & DSN_MASK
