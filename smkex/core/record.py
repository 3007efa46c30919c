"""Records: bytes of the stream, sealed once under a nonce from their DSN, never split, merged or resealed.

A record's frame is header, DSN (8 bytes), ciphertext and tag; header and DSN, that is type, length and position,
are associated data. The key epoch is DSN >> 34: both ends change keys at the same byte without a message.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag

from smkex.core.errors import BadRecord, MalformedMessage
from smkex.core.frame import HEADER, RECORD_DATA_LIMIT, TAG, FrameType, header
from smkex.core.schedule import AeadKey, KeySchedule

DSN = 8
PREFIX = HEADER + DSN
OVERHEAD = PREFIX + TAG
EPOCH_SHIFT = 34
DSN_LIMIT = 1 << 62


@dataclass(slots=True)
class SealedRecord:
    """A record on its way: kept, as sealed, until the other end acknowledged `end`."""

    dsn: int
    end: int
    frame: bytes = field(repr=False)
    path: int = -1


class EpochKeys:
    """The data keys of one sender, by epoch; the newest two are kept, for records that come late."""

    def __init__(self, keys: KeySchedule, sender: str) -> None:
        self._keys = keys
        self._sender = sender
        self._epochs: dict[int, AeadKey] = {}

    def at(self, dsn: int) -> AeadKey:
        epoch = dsn >> EPOCH_SHIFT
        if epoch not in self._epochs:
            self._epochs[epoch] = self._keys.data_key(self._sender, epoch)
            for old in sorted(self._epochs)[:-2]:
                del self._epochs[old]
        return self._epochs[epoch]


def seal(keys: EpochKeys, dsn: int, data: bytes | memoryview) -> SealedRecord:
    """Seal 1 to 65,536 bytes of the stream that begin at `dsn`."""
    if not 1 <= len(data) <= RECORD_DATA_LIMIT or dsn + len(data) > DSN_LIMIT:
        raise ValueError(f"a record of {len(data)} bytes at {dsn}")
    prefix = header(FrameType.DATA, DSN + len(data) + TAG) + dsn.to_bytes(DSN, "big")
    return SealedRecord(dsn, dsn + len(data), prefix + keys.at(dsn).seal(dsn, data, prefix))


def unseal(keys: EpochKeys, frame: bytes) -> tuple[int, bytes]:
    """Open a record's frame: (DSN, data). Raises `MalformedMessage` or `BadRecord`."""
    if len(frame) <= OVERHEAD:
        raise MalformedMessage("a record without data")
    dsn = int.from_bytes(frame[HEADER:PREFIX], "big")
    if dsn > DSN_LIMIT:
        raise BadRecord
    view = memoryview(frame)
    try:
        return dsn, keys.at(dsn).open(dsn, view[PREFIX:], view[:PREFIX])
    except InvalidTag:
        raise BadRecord from None
