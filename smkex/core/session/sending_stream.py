"""The sending half of a stream: records are sealed once and kept, as sealed, until acknowledged."""

from typing import Final

from smkex.core.errors import MisusedStream
from smkex.core.keys.epoch_chain import EpochChain
from smkex.core.session.record import UNACKNOWLEDGED_LIMIT, SealedRecord, seal
from smkex.core.wire.frame import RECORD_DATA_LIMIT

INITIAL_WINDOW: Final = 256 << 10  # unacknowledged bytes of a new stream; it grows with what is acknowledged


class SendingStream:
    """Bytes in, sealed records out; at most a window of bytes in `UNACKNOWLEDGED_LIMIT` records is kept.

    The window starts small and grows by each acknowledged byte, up to `window`: a peer that acknowledges nothing holds
    little memory here.
    """

    def __init__(self, keys: EpochChain, window: int, start: int = 0) -> None:
        self.keys = keys
        self._unsent: list[bytes | memoryview] = []
        self._unsent_at = 0  # of the first unsent byte in the first of them
        self._start = start
        self._largest_window = self._window_limit = window
        self._kept_bytes = 0
        self._limit = start + window
        self._kept: list[SealedRecord] = []
        self.retransmissions: dict[int, SealedRecord] = {}  # pending, by DSN
        self.unsent = 0
        self.next_dsn = start
        self.acknowledged = start
        self.final: int | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.final is not None:
            raise ValueError("the stream has been ended")
        if data:
            self._unsent.append(data if isinstance(data, bytes) else bytes(data))
            self.unsent += len(data)

    def lend(self, data: memoryview) -> None:
        """Queue bytes that stay the caller's, and do not change before `keep_lent`."""
        if self.final is not None:
            raise ValueError("the stream has been ended")
        if data:
            self._unsent.append(data)
            self.unsent += len(data)

    def keep_lent(self) -> None:
        """Copy what is still unsent of the lent bytes, which are the last that were queued."""
        if not self._unsent:
            return
        last = self._unsent[-1]
        if isinstance(last, memoryview):
            if len(self._unsent) == 1 and self._unsent_at:
                last = last[self._unsent_at :]
                self._unsent_at = 0
            self._unsent[-1] = bytes(last)

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
        if not self.unsent or len(self._kept) == UNACKNOWLEDGED_LIMIT:
            return None
        room = min(most, min(self._limit, self.acknowledged + self.window) - self.next_dsn)
        if room <= 0:
            return None
        data = self._take_unsent(min(room, self.unsent))
        record = seal(self.keys, self.next_dsn, data)
        self.next_dsn = record.end
        self._kept.append(record)
        self._kept_bytes += len(data)
        return record

    def _take_unsent(self, count: int) -> bytes | memoryview:
        """Remove the first `count` unsent bytes, of those that there are."""
        self.unsent -= count
        first, at = self._unsent[0], self._unsent_at
        end = at + count
        if end < len(first):
            self._unsent_at = end
            return memoryview(first)[at:end]
        self._unsent_at = 0
        if end == len(first):
            del self._unsent[0]
            return first if at == 0 else memoryview(first)[at:]
        parts: list[bytes | memoryview] = [memoryview(first)[at:]]
        whole = 1
        count -= len(first) - at
        while count:
            part = self._unsent[whole]
            if len(part) > count:
                parts.append(memoryview(part)[:count])
                self._unsent_at = count
                break
            parts.append(part)
            count -= len(part)
            whole += 1
        del self._unsent[:whole]
        return b"".join(parts)

    def first_missing_from(self, dsn: int) -> SealedRecord | None:
        """Return the first record at or above `dsn` that is not known to have arrived."""
        return next((record for record in self._kept if record.dsn >= dsn and not record.arrived), None)

    def schedule_retransmission(self, record: SealedRecord) -> None:
        """Queue `record` for retransmission unless it has arrived."""
        if not record.arrived:
            self.retransmissions[record.dsn] = record

    def pending_retransmissions(self) -> list[SealedRecord]:
        """Return the records to retransmit, lowest DSN first."""
        return [self.retransmissions[dsn] for dsn in sorted(self.retransmissions)]

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
        kept, reached = self._kept, self.acknowledged
        count = 0
        for record in kept:
            if record.end > reached:
                break
            count += 1
            self._kept_bytes -= record.end - record.dsn
            self._mark_received(record)
        if count:
            del kept[:count]
        if kept and kept[0].dsn < reached:
            # only whole records are acknowledged: byte by byte, a peer could hold records in memory for months
            raise MisusedStream("the peer acknowledged a part of a record")
        if not ranges:
            return
        at = 0
        for record in kept:
            while at < len(ranges) and ranges[at][1] <= record.dsn:
                at += 1
            if at == len(ranges):
                break
            if ranges[at][0] <= record.dsn and record.end <= ranges[at][1]:
                self._mark_received(record)

    def discard(self) -> None:
        """Discard all queued and kept bytes."""
        self._unsent.clear()
        self._unsent_at = 0
        self._kept.clear()
        self.retransmissions.clear()
        self.unsent = self._kept_bytes = 0

    def _mark_received(self, record: SealedRecord) -> None:
        record.mark_received()
        if self.retransmissions:
            self.retransmissions.pop(record.dsn, None)
