"""The sending half of a stream: what is written, sealed once, and kept as sealed until the other end has it."""

from collections import deque
from collections.abc import Iterator

from smkex.core.errors import MisusedStream
from smkex.core.session.record import UNACKNOWLEDGED_LIMIT, EpochKeys, SealedRecord, seal
from smkex.core.wire.frame import RECORD_DATA_LIMIT

_NONE: Iterator[SealedRecord] = iter(())
INITIAL_WINDOW = 256 << 10  # unacknowledged bytes of a new stream; it grows with what is acknowledged


class SendingStream:
    """Bytes in, sealed records out; at most a window of bytes in `UNACKNOWLEDGED_LIMIT` records is kept.

    The window starts small and grows by each acknowledged byte, up to `window`: a peer that acknowledges nothing holds
    little memory here.
    """

    def __init__(self, keys: EpochKeys, window: int, start: int = 0) -> None:
        self._keys = keys
        self._unsent: deque[memoryview] = deque()
        self._start = start
        self._largest_window = self._window_limit = window
        self._kept_bytes = 0
        self._limit = start + window
        self._kept: deque[SealedRecord] = deque()
        self.again: dict[int, SealedRecord] = {}  # what is to be sent once more, by DSN
        self.unsent = 0
        self.next_dsn = start
        self.acknowledged = start
        self.final: int | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.final is not None:
            raise ValueError("the stream has been ended")
        if data:
            self._unsent.append(memoryview(bytes(data)))
            self.unsent += len(data)

    def end(self) -> bool:
        """End the stream after what is queued; False if it was ended before."""
        if self.final is not None:
            return False
        self.final = self.next_dsn + self.unsent
        return True

    @property
    def window(self) -> int:
        """How many bytes may be unacknowledged now."""
        return min(self._window_limit, INITIAL_WINDOW + self.acknowledged - self._start)

    def limit_window(self, limit: int) -> None:
        """Keep the window at or below `limit` from now on; what has been sent stays until it is acknowledged."""
        self._window_limit = min(self._largest_window, limit)

    @property
    def held_bytes(self) -> int:
        """Bytes that wait to be sent or acknowledged."""
        return self.unsent + self._kept_bytes

    @property
    def end_acknowledged(self) -> bool:
        return self.final is not None and self.acknowledged > self.final

    @property
    def oldest(self) -> SealedRecord | None:
        """The record that the other end's application waits for."""
        return self._kept[0] if self._kept else None

    def next_record(self, most: int = RECORD_DATA_LIMIT) -> SealedRecord | None:
        """Seal the next record, of at most `most` bytes, as full as what is queued and the window allow."""
        room = min(most, min(self._limit, self.acknowledged + self.window) - self.next_dsn)
        if not self._unsent or room <= 0 or len(self._kept) == UNACKNOWLEDGED_LIMIT:
            return None
        parts: list[memoryview] = []
        while self._unsent and room:
            part = self._unsent.popleft()
            if len(part) > room:
                self._unsent.appendleft(part[room:])
                part = part[:room]
            room -= len(part)
            parts.append(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        record = seal(self._keys, self.next_dsn, data)
        self.unsent -= len(data)
        self.next_dsn = record.end
        self._kept.append(record)
        self._kept_bytes += len(data)
        return record

    def missing_after(self, dsn: int) -> SealedRecord | None:
        """The first record at or above `dsn` that the other end is not known to have."""
        return next((record for record in self._kept if record.dsn >= dsn and not record.arrived), None)

    def send_again(self, record: SealedRecord) -> None:
        """Let `record` go out once more."""
        if not record.arrived:
            self.again[record.dsn] = record

    def due_again(self) -> Iterator[SealedRecord]:
        """What is to be sent again, lowest DSN first."""
        return (self.again[dsn] for dsn in sorted(self.again)) if self.again else _NONE

    def not_again(self, record: SealedRecord) -> None:
        """It went out, or need not after all."""
        self.again.pop(record.dsn, None)

    def acknowledge(self, acknowledged: int, limit: int, ranges: tuple[tuple[int, int], ...]) -> None:
        """Take what the other end has, whatever order such messages come in. Raises `MisusedStream`."""
        end = self.next_dsn + (1 if self.final == self.next_dsn else 0)
        if acknowledged > end or (ranges and ranges[-1][1] > self.next_dsn):
            raise MisusedStream("bytes are acknowledged that were never sent")
        self.acknowledged = max(self.acknowledged, acknowledged)
        self._limit = max(self._limit, limit)
        while self._kept and self._kept[0].end <= self.acknowledged:
            record = self._kept.popleft()
            self._kept_bytes -= record.end - record.dsn
            self._arrive(record)
        if self._kept and self._kept[0].dsn < self.acknowledged:
            # records count when they are whole; byte by byte, an end could look slow for months and keep all of them
            raise MisusedStream("a part of a record is acknowledged")
        at = 0
        for record in self._kept if ranges else ():
            while at < len(ranges) and ranges[at][1] <= record.dsn:
                at += 1
            if at == len(ranges):
                break
            if ranges[at][0] <= record.dsn and record.end <= ranges[at][1]:
                self._arrive(record)

    def drop(self) -> None:
        """Forget all that was queued."""
        self._unsent.clear()
        self._kept.clear()
        self.again.clear()
        self.unsent = self._kept_bytes = 0

    def _arrive(self, record: SealedRecord) -> None:
        record.arrive()
        self.again.pop(record.dsn, None)
