"""The sending half of a stream: records are sealed once and kept, as sealed, until acknowledged."""

from collections import deque
from collections.abc import Iterator

from smkex.core.errors import MisusedStream
from smkex.core.keys.epoch_chain import EpochChain
from smkex.core.session.record import UNACKNOWLEDGED_LIMIT, SealedRecord, seal
from smkex.core.wire.frame import RECORD_DATA_LIMIT

_NONE: Iterator[SealedRecord] = iter(())
INITIAL_WINDOW = 256 << 10  # unacknowledged bytes of a new stream; it grows with what is acknowledged


class SendingStream:
    """Bytes in, sealed records out; at most a window of bytes in `UNACKNOWLEDGED_LIMIT` records is kept.

    The window starts small and grows by each acknowledged byte, up to `window`: a peer that acknowledges nothing holds
    little memory here.
    """

    def __init__(self, keys: EpochChain, window: int, start: int = 0) -> None:
        self._keys = keys
        self._unsent: deque[memoryview] = deque()
        self._start = start
        self._largest_window = self._window_limit = window
        self._kept_bytes = 0
        self._limit = start + window
        self._kept: deque[SealedRecord] = deque()
        self.retransmissions: dict[int, SealedRecord] = {}  # pending, by DSN
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
        """End the stream after the queued bytes. Return False if it was ended before."""
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
        """The unacknowledged record of lowest DSN."""
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

    def first_missing_from(self, dsn: int) -> SealedRecord | None:
        """Return the first record at or above `dsn` that is not known to have arrived."""
        return next((record for record in self._kept if record.dsn >= dsn and not record.arrived), None)

    def schedule_retransmission(self, record: SealedRecord) -> None:
        """Queue `record` for retransmission unless it has arrived."""
        if not record.arrived:
            self.retransmissions[record.dsn] = record

    def pending_retransmissions(self) -> Iterator[SealedRecord]:
        """Iterate over the records to retransmit, lowest DSN first."""
        return (
            (self.retransmissions[dsn] for dsn in sorted(self.retransmissions))
            if self.retransmissions
            else _NONE
        )

    def cancel_retransmission(self, record: SealedRecord) -> None:
        """Remove `record` from the retransmission queue."""
        self.retransmissions.pop(record.dsn, None)

    def acknowledge(self, acknowledged: int, limit: int, ranges: tuple[tuple[int, int], ...]) -> None:
        """Apply an acknowledgement; older ones may arrive later. Raises `MisusedStream`."""
        end = self.next_dsn + (1 if self.final == self.next_dsn else 0)
        if acknowledged > end or (ranges and ranges[-1][1] > self.next_dsn):
            raise MisusedStream("the peer acknowledged bytes that were never sent")
        self.acknowledged = max(self.acknowledged, acknowledged)
        self._limit = max(self._limit, limit)
        while self._kept and self._kept[0].end <= self.acknowledged:
            record = self._kept.popleft()
            self._kept_bytes -= record.end - record.dsn
            self._mark_received(record)
        if self._kept and self._kept[0].dsn < self.acknowledged:
            # only whole records are acknowledged: byte by byte, a peer could hold records in memory for months
            raise MisusedStream("the peer acknowledged a part of a record")
        at = 0
        for record in self._kept if ranges else ():
            while at < len(ranges) and ranges[at][1] <= record.dsn:
                at += 1
            if at == len(ranges):
                break
            if ranges[at][0] <= record.dsn and record.end <= ranges[at][1]:
                self._mark_received(record)

    def discard(self) -> None:
        """Discard all queued and kept bytes."""
        self._unsent.clear()
        self._kept.clear()
        self.retransmissions.clear()
        self.unsent = self._kept_bytes = 0

    def _mark_received(self, record: SealedRecord) -> None:
        record.mark_received()
        self.retransmissions.pop(record.dsn, None)
