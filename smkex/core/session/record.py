"""Records: bytes of the stream, sealed once under a nonce from their DSN, never split, merged or resealed.

A record's frame is header, DSN (8 bytes), ciphertext and tag; header and DSN, that is type, length and position,
are associated data. The key epoch is DSN >> 34: both ends change keys at the same byte without a message.
"""

import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag

from smkex.core.errors import BadRecord, MalformedMessage
from smkex.core.keys.key_schedule import AeadKey, KeySchedule
from smkex.core.wire.frame import HEADER_LENGTH, RECORD_DATA_LIMIT, TAG_LENGTH, FrameType

DSN_LENGTH = 8
PREFIX_LENGTH = HEADER_LENGTH + DSN_LENGTH
OVERHEAD = PREFIX_LENGTH + TAG_LENGTH
_PREFIX = struct.Struct(">IQ")  # type and length, DSN
_TYPE = FrameType.DATA << 24
EPOCH_SHIFT = 34
DSN_LIMIT = 1 << 62
UNACKNOWLEDGED_LIMIT = 1024  # records sent and not acknowledged by their DSN: eight windows of full ones


@dataclass(slots=True)
class SealedRecord:
    """A sealed record, kept until the other end has received it.

    `paths` are those on which it may still arrive, `copies` counts transmissions, `sent_at` is the time of the last.
    """

    dsn: int
    end: int
    frame: bytes = field(repr=False)
    paths: set[int] = field(default_factory=set)
    copies: int = 0
    sent_at: float = 0.0
    arrived: bool = False

    def mark_received(self) -> None:
        """Mark it received and free its bytes."""
        self.arrived = True
        self.frame = b""


class EpochKeys:
    """The data keys of one sender by epoch. Two are kept: the newest and one other, for late records."""

    def __init__(self, keys: KeySchedule, sender: str) -> None:
        self._keys = keys
        self._sender = sender
        self._kept: dict[int, AeadKey] = {}

    def key_for_epoch(self, epoch: int) -> AeadKey:
        key = self._kept.get(epoch)
        return self._keys.data_key(self._sender, epoch) if key is None else key

    def retain_key(self, epoch: int, key: AeadKey) -> None:
        """Keep a key that has opened or sealed a record; a forged DSN does not get this far."""
        if epoch not in self._kept:
            if len(self._kept) == 2:
                del self._kept[min(self._kept)]
            self._kept[epoch] = key


def seal(keys: EpochKeys, dsn: int, data: bytes | memoryview) -> SealedRecord:
    """Seal 1 to 65,536 bytes of the stream that begin at `dsn`."""
    if not 1 <= len(data) <= RECORD_DATA_LIMIT or dsn + len(data) > DSN_LIMIT:
        raise ValueError(f"cannot seal a record of {len(data)} bytes at DSN {dsn}")
    prefix = _PREFIX.pack(_TYPE + DSN_LENGTH + len(data) + TAG_LENGTH, dsn)
    key = keys.key_for_epoch(dsn >> EPOCH_SHIFT)
    keys.retain_key(dsn >> EPOCH_SHIFT, key)
    return SealedRecord(dsn, dsn + len(data), prefix + key.seal(dsn, data, prefix))


def unseal(keys: EpochKeys, frame: bytes) -> tuple[int, bytes]:
    """Open a record's frame: (DSN, data). Raises `MalformedMessage` or `BadRecord`."""
    if len(frame) <= OVERHEAD:
        raise MalformedMessage("a record carries no data")
    dsn = int.from_bytes(frame[HEADER_LENGTH:PREFIX_LENGTH], "big")
    if dsn > DSN_LIMIT:
        raise BadRecord
    view = memoryview(frame)
    key = keys.key_for_epoch(dsn >> EPOCH_SHIFT)
    try:
        data = key.open(dsn, view[PREFIX_LENGTH:], frame[:PREFIX_LENGTH])
    except InvalidTag:
        raise BadRecord from None
    keys.retain_key(dsn >> EPOCH_SHIFT, key)
    return dsn, data
