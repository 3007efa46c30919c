"""Control messages: absolute values about the session, sealed per subflow under a counter.

Each is a list of items, type (1 byte), length (1 byte), value. A later message supersedes an earlier one, so any
may be lost with its subflow. Unknown items are passed over.
"""

from dataclasses import dataclass
from enum import IntEnum, unique

from cryptography.exceptions import InvalidTag

from smkex.core.codec import Reader, u8, u16, u64
from smkex.core.errors import BadRecord, MalformedMessage
from smkex.core.frame import CONTROL_LIMIT, HEADER, TAG, FrameType, header
from smkex.core.schedule import AeadKey, KeySchedule


@unique
class Item(IntEnum):
    """Types of items, as sent."""

    ACKNOWLEDGE = 1
    FINAL = 2
    ABORT = 3


@dataclass(frozen=True, slots=True)
class Control:
    """What one control message states.

    `acknowledged`: all bytes below are received (the end of stream counts as one byte more); `limit`: no byte
    at or above may be sent; `final`: length of the sender's stream; `abort`: code of `errors.Code`.
    """

    acknowledged: int | None = None
    limit: int = 0
    final: int | None = None
    abort: int | None = None

    def encode(self) -> bytes:
        items = b""
        if self.acknowledged is not None:
            items += u8(Item.ACKNOWLEDGE) + u8(16) + u64(self.acknowledged) + u64(self.limit)
        if self.final is not None:
            items += u8(Item.FINAL) + u8(8) + u64(self.final)
        if self.abort is not None:
            items += u8(Item.ABORT) + u8(2) + u16(self.abort)
        return items

    @classmethod
    def parse(cls, items: bytes) -> "Control":
        reader = Reader(items)
        acknowledged, limit, final, abort = None, 0, None, None
        while not reader.at_end:
            kind = reader.u8()
            value = Reader(reader.vec8())
            match kind:
                case Item.ACKNOWLEDGE:
                    acknowledged, limit = value.u64(), value.u64()
                case Item.FINAL:
                    final = value.u64()
                case Item.ABORT:
                    abort = value.u16()
                case _:
                    continue
            value.finish()
        return cls(acknowledged, limit, final, abort)


class ControlSealer:
    """Seal the control messages of one end on one subflow."""

    def __init__(self, keys: KeySchedule, sender: str, path: int) -> None:
        self._key: AeadKey = keys.control_key(sender, path)
        self._counter = 0

    def seal(self, control: Control) -> bytes:
        items = control.encode()
        associated = header(FrameType.CONTROL, len(items) + TAG)
        sealed = associated + self._key.seal(self._counter, items, associated)
        self._counter += 1
        return sealed


class ControlOpener:
    """Open them at the other end: one lost, repeated or moved to another subflow does not open."""

    def __init__(self, keys: KeySchedule, sender: str, path: int) -> None:
        self._key: AeadKey = keys.control_key(sender, path)
        self._counter = 0

    def open(self, frame: bytes) -> Control:
        """Raises `MalformedMessage` or `BadRecord`."""
        if not TAG <= len(frame) - HEADER <= CONTROL_LIMIT:
            raise MalformedMessage("a control message without a tag")
        try:
            items = self._key.open(self._counter, frame[HEADER:], frame[:HEADER])
        except InvalidTag:
            raise BadRecord from None
        self._counter += 1
        return Control.parse(items)
