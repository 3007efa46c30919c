"""Control messages: absolute values about the session, sealed per subflow under a counter.

Each is a list of items, type (1 byte), length (1 byte), value. A later message supersedes an earlier one, so any
may be lost with its subflow; values that can change to and fro carry the number of their state. Unknown items are
ignored.
"""

import struct
from enum import IntEnum, unique
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidTag

from smkex.core.errors import BadRecord, MalformedMessage
from smkex.core.keys.aead_key import AeadKey
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.wire.codec import Reader, u8, u16, u32, u64, vec8
from smkex.core.wire.frame import (
    CONTROL_TYPE,
    FRAME_LIMITS,
    HEADER_LENGTH,
    TAG_LENGTH,
)

RANGES_LIMIT: Final = 31  # ranges in one item, whose length is a byte
WAITED_LIMIT: Final = (1 << 32) - 1  # microseconds
_ACKNOWLEDGEMENT: Final = struct.Struct(">BBQQI")  # an Acknowledge item, the only one of most messages
_ACKNOWLEDGEMENT_LENGTH: Final = 20  # of its value
_ITEM_LENGTH: Final = 22  # of the item
_ACKNOWLEDGE: Final = 1


@unique
class ControlItem(IntEnum):
    """Types of items, as sent."""

    ACKNOWLEDGE = _ACKNOWLEDGE
    FINAL = 2
    ABORT = 3
    RANGES = 4
    PING = 5
    PONG = 6
    REMOVED = 7
    BACKUP = 8
    SCHEDULER = 9
    REHOME = 10
    STEP = 11
    STEP_WANTED = 12


class ControlMessage(NamedTuple):
    """The state that one control message reports.

    `acknowledged`: all bytes below are received (the end of stream counts as one byte more); `limit`: no byte
    at or above may be sent; `waited`: microseconds since a record or ping last came on this path; `final`: length of
    the sender's stream; `abort`: code of `errors.AbortCode`; `ranges`: what is received beyond `acknowledged`,
    [from, to), lowest first; `ping` asks for `pong` with the same number on the same path; `removed` and `backup` are
    paths; `scheduler` is the client's choice for what it receives; `rehome` asks the client to leave the service port.
    `backup_state` and `scheduler_state` number those values: the higher number counts, whatever came last. `step` is
    the key step of the sender's records from DSN `step_from` on; `step_wanted` asks the client to begin that step.
    """

    acknowledged: int | None = None
    limit: int = 0
    waited: int = 0
    final: int | None = None
    abort: int | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    ping: int | None = None
    pong: int | None = None
    removed: frozenset[int] = frozenset()
    backup: frozenset[int] | None = None
    backup_state: int = 0
    scheduler: int | None = None
    scheduler_state: int = 0
    rehome: bool = False
    step: int | None = None
    step_from: int = 0
    step_wanted: int | None = None

    def encode(self) -> bytes:
        items = b""
        if self.acknowledged is not None:
            items = encode_acknowledgement(self.acknowledged, self.limit, self.waited)
        if self.final is not None:
            items += _encode_item(ControlItem.FINAL, u64(self.final))
        if self.abort is not None:
            items += _encode_item(ControlItem.ABORT, u16(self.abort))
        if self.ranges:
            base = self.acknowledged or 0
            items += _encode_item(
                ControlItem.RANGES, b"".join(u32(at - base) + u32(to - at) for at, to in self.ranges)
            )
        if self.ping is not None:
            items += _encode_item(ControlItem.PING, u64(self.ping))
        if self.pong is not None:
            items += _encode_item(ControlItem.PONG, u64(self.pong))
        if self.removed:
            items += _encode_item(ControlItem.REMOVED, bytes(sorted(self.removed)))
        if self.backup is not None:
            items += _encode_item(ControlItem.BACKUP, u64(self.backup_state) + bytes(sorted(self.backup)))
        if self.scheduler is not None:
            items += _encode_item(ControlItem.SCHEDULER, u64(self.scheduler_state) + u8(self.scheduler))
        if self.rehome:
            items += _encode_item(ControlItem.REHOME, b"")
        if self.step is not None:
            items += _encode_item(ControlItem.STEP, u64(self.step) + u64(self.step_from))
        if self.step_wanted is not None:
            items += _encode_item(ControlItem.STEP_WANTED, u64(self.step_wanted))
        return items

    @classmethod
    def parse(cls, items: bytes) -> "ControlMessage":
        """Raises `MalformedMessage`. Unknown items are ignored; the last of repeated items counts."""
        reader = Reader(items)
        found: dict[str, Any] = {}
        ranges = Reader(b"")
        while not reader.at_end:
            kind = reader.u8()
            value = Reader(reader.vec8())
            match kind:
                case ControlItem.ACKNOWLEDGE:
                    found["acknowledged"], found["limit"] = value.u64(), value.u64()
                    found["waited"] = value.u32()
                case ControlItem.FINAL:
                    found["final"] = value.u64()
                case ControlItem.ABORT:
                    found["abort"] = value.u16()
                case ControlItem.RANGES:
                    ranges = value
                    continue
                case ControlItem.PING:
                    found["ping"] = value.u64()
                case ControlItem.PONG:
                    found["pong"] = value.u64()
                case ControlItem.REMOVED:
                    found["removed"] = frozenset(value.rest())
                case ControlItem.BACKUP:
                    found["backup_state"], found["backup"] = value.u64(), frozenset(value.rest())
                case ControlItem.SCHEDULER:
                    found["scheduler_state"], found["scheduler"] = value.u64(), value.u8()
                case ControlItem.REHOME:
                    found["rehome"] = True
                case ControlItem.STEP:
                    found["step"], found["step_from"] = value.u64(), value.u64()
                case ControlItem.STEP_WANTED:
                    found["step_wanted"] = value.u64()
                case _:
                    continue
            value.finish()
        return cls(**found, ranges=_read_ranges(ranges, found.get("acknowledged", 0)))


def encode_acknowledgement(acknowledged: int, limit: int, waited: int) -> bytes:
    """Encode the only item of most messages."""
    return _ACKNOWLEDGEMENT.pack(_ACKNOWLEDGE, _ACKNOWLEDGEMENT_LENGTH, acknowledged, limit, waited)


def is_acknowledgement(items: bytes) -> bool:
    """Whether Acknowledge is the only item of a message: `read_acknowledgement` reads it."""
    return len(items) == _ITEM_LENGTH and items[0] == _ACKNOWLEDGE and items[1] == _ACKNOWLEDGEMENT_LENGTH


def read_acknowledgement(items: bytes) -> tuple[int, int, int]:
    """Return what is acknowledged, the limit, and what the message waited in microseconds."""
    return (
        int.from_bytes(items[2:10], "big"),
        int.from_bytes(items[10:18], "big"),
        int.from_bytes(items[18:22], "big"),
    )


def _encode_item(kind: ControlItem, value: bytes) -> bytes:
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


class _ControlEnd:
    """The key and counter of what one end sends on one subflow under one key step.

    The key is derived when it is first used, and its cipher made for each message: most sessions are idle and exchange
    nothing but a ping now and then.
    """

    __slots__ = ("_counter", "_join", "_key", "_keys", "_path", "_sender", "step")

    def __init__(self, keys: KeySchedule, sender: str, path: int, join: bytes = b"") -> None:
        self._keys = keys
        self._sender = sender
        self._path = path
        self._join = join
        self._key: AeadKey | None = None
        self._counter = 0
        self.step = keys.step

    def prepare(self) -> None:
        """Derive the key, which is still needed when the schedule is erased."""
        self._find_key()

    def erase(self) -> None:
        """Overwrite the key: nothing more is sealed or opened."""
        if self._key is not None:
            self._key.erase()

    def _find_key(self) -> AeadKey:
        key = self._key
        if key is None:
            key = self._key = self._keys.control_key(self._sender, self._path, self._join)
        return key


class ControlSealer(_ControlEnd):
    """Seal the control messages, and those of key steps, of one end on one subflow."""

    __slots__ = ()

    def seal(self, control: ControlMessage) -> bytes:
        return self.seal_items(control.encode())

    def seal_items(self, items: bytes, kind: int = CONTROL_TYPE) -> bytes:
        """Seal the body of a frame of type `kind`: Control, Step or Switch."""
        associated = ((kind << 24) + len(items) + TAG_LENGTH).to_bytes(HEADER_LENGTH, "big")
        key = self._find_key()
        sealed = associated + key.seal(self._counter, items, associated)
        key.release_cipher()
        self._counter += 1
        return sealed

    def renew(self, keys: KeySchedule) -> "ControlSealer":
        """Return the sealer of this subflow under another key step, and erase this one."""
        self.erase()
        return ControlSealer(keys, self._sender, self._path, self._join)


class ControlOpener(_ControlEnd):
    """Open the control messages of the other end: one lost, repeated or moved to another subflow does not open."""

    __slots__ = ()

    def open(self, frame: bytes) -> bytes:
        """Return the items of a message. Raises `MalformedMessage` or `BadRecord`."""
        if not TAG_LENGTH <= len(frame) - HEADER_LENGTH <= FRAME_LIMITS[frame[0]][1]:
            raise MalformedMessage(f"a control message has {len(frame)} bytes, too few or too many")
        key = self._find_key()
        try:
            items = key.open(self._counter, frame[HEADER_LENGTH:], frame[:HEADER_LENGTH])
        except InvalidTag:
            raise BadRecord from None
        key.release_cipher()
        self._counter += 1
        return items

    def renew(self, keys: KeySchedule) -> "ControlOpener":
        """Return the opener of this subflow under another key step."""
        return ControlOpener(keys, self._sender, self._path, self._join)
