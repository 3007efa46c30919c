"""Control messages: absolute values about the session, sealed per subflow under a counter.

Each is a list of items, type (1 byte), length (1 byte), value. A later message supersedes an earlier one, so any
may be lost with its subflow. Unknown items are passed over.
"""

import struct
from enum import IntEnum, unique
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag

from smkex.core.errors import BadRecord, MalformedMessage
from smkex.core.keys.key_schedule import AeadKey, KeySchedule
from smkex.core.wire.codec import Reader, u8, u16, u32, u64, vec8
from smkex.core.wire.frame import CONTROL_LIMIT, HEADER, TAG, FrameType, header

RANGES_LIMIT = 31  # ranges in one item, whose length is a byte
_ACKNOWLEDGEMENT = struct.Struct(">BBQQ")  # an Acknowledge item: most messages are that and no more


@unique
class Item(IntEnum):
    """Types of items, as sent."""

    ACKNOWLEDGE = 1
    FINAL = 2
    ABORT = 3
    RANGES = 4
    PING = 5
    PONG = 6
    REMOVED = 7
    BACKUP = 8
    SCHEDULER = 9
    REHOME = 10


class Control(NamedTuple):
    """What one control message states.

    `acknowledged`: all bytes below are received (the end of stream counts as one byte more); `limit`: no byte
    at or above may be sent; `final`: length of the sender's stream; `abort`: code of `errors.Code`; `ranges`:
    what is received beyond `acknowledged`, [from, to), lowest first; `ping` asks for `pong` with the same number
    on the same path; `removed` and `backup` are paths; `scheduler` is the client's wish for what it receives;
    `rehome` asks the client to leave the service port.
    """

    acknowledged: int | None = None
    limit: int = 0
    final: int | None = None
    abort: int | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    ping: int | None = None
    pong: int | None = None
    removed: frozenset[int] = frozenset()
    backup: frozenset[int] | None = None
    scheduler: int | None = None
    rehome: bool = False

    def encode(self) -> bytes:
        if self.acknowledged is not None and self[2:] == _NOTHING_ELSE:
            return _ACKNOWLEDGEMENT.pack(Item.ACKNOWLEDGE, 16, self.acknowledged, self.limit)
        items = b""
        if self.acknowledged is not None:
            items += _item(Item.ACKNOWLEDGE, u64(self.acknowledged) + u64(self.limit))
        if self.final is not None:
            items += _item(Item.FINAL, u64(self.final))
        if self.abort is not None:
            items += _item(Item.ABORT, u16(self.abort))
        if self.ranges:
            base = self.acknowledged or 0
            items += _item(Item.RANGES, b"".join(u32(at - base) + u32(to - at) for at, to in self.ranges))
        if self.ping is not None:
            items += _item(Item.PING, u64(self.ping))
        if self.pong is not None:
            items += _item(Item.PONG, u64(self.pong))
        if self.removed:
            items += _item(Item.REMOVED, bytes(sorted(self.removed)))
        if self.backup is not None:
            items += _item(Item.BACKUP, bytes(sorted(self.backup)))
        if self.scheduler is not None:
            items += _item(Item.SCHEDULER, u8(self.scheduler))
        if self.rehome:
            items += _item(Item.REHOME, b"")
        return items

    @classmethod
    def parse(cls, items: bytes) -> "Control":
        """Raises `MalformedMessage`. Unknown items are passed over; of an item that repeats the last counts."""
        if len(items) == _ACKNOWLEDGEMENT.size and items[:2] == _ACKNOWLEDGEMENT_BEGINS:
            return cls(*_ACKNOWLEDGEMENT.unpack(items)[2:])
        reader = Reader(items)
        found: dict[str, Any] = {}
        ranges = Reader(b"")
        while not reader.at_end:
            kind = reader.u8()
            value = Reader(reader.vec8())
            match kind:
                case Item.ACKNOWLEDGE:
                    found["acknowledged"], found["limit"] = value.u64(), value.u64()
                case Item.FINAL:
                    found["final"] = value.u64()
                case Item.ABORT:
                    found["abort"] = value.u16()
                case Item.RANGES:
                    ranges = value
                    continue
                case Item.PING:
                    found["ping"] = value.u64()
                case Item.PONG:
                    found["pong"] = value.u64()
                case Item.REMOVED:
                    found["removed"] = frozenset(value.rest())
                case Item.BACKUP:
                    found["backup"] = frozenset(value.rest())
                case Item.SCHEDULER:
                    found["scheduler"] = value.u8()
                case Item.REHOME:
                    found["rehome"] = True
                case _:
                    continue
            value.finish()
        return cls(**found, ranges=_read_ranges(ranges, found.get("acknowledged", 0)))


_NOTHING_ELSE = Control()[2:]
_ACKNOWLEDGEMENT_BEGINS = bytes((Item.ACKNOWLEDGE, 16))


def _item(kind: Item, value: bytes) -> bytes:
    return u8(kind) + vec8(value)


def _read_ranges(reader: Reader, base: int) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    below = base
    while not reader.at_end:
        at = base + reader.u32()
        to = at + reader.u32()
        if at < below or to <= at:
            raise MalformedMessage("ranges are not in ascending order")
        ranges.append((at, to))
        below = to
    return tuple(ranges)


class ControlSealer:
    """Seal the control messages of one end on one subflow."""

    def __init__(self, keys: KeySchedule, sender: str, path: int, join: bytes = b"") -> None:
        self._key: AeadKey = keys.control_key(sender, path, join)
        self._counter = 0

    def seal(self, control: Control) -> bytes:
        items = control.encode()
        associated = header(FrameType.CONTROL, len(items) + TAG)
        sealed = associated + self._key.seal(self._counter, items, associated)
        self._counter += 1
        return sealed


class ControlOpener:
    """Open them at the other end: one lost, repeated or moved to another subflow does not open."""

    def __init__(self, keys: KeySchedule, sender: str, path: int, join: bytes = b"") -> None:
        self._key: AeadKey = keys.control_key(sender, path, join)
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
