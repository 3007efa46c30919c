"""Reassemble the records of all paths into one ordered stream, bounded by the window."""

from bisect import bisect_left, insort

from smkex.core.errors import Overlap, WindowExceeded
from smkex.core.session.record import UNACKNOWLEDGED_LIMIT


class Reassembly:
    """The receiving half of one stream.

    `next` is the first byte not yet in order. An exact duplicate of a record is dropped; records are sealed
    once, so two that overlap otherwise prove a peer that breaks the protocol. At most a window of bytes in at
    most `UNACKNOWLEDGED_LIMIT` records waits: many tiny records cost memory that the window does not bound.
    """

    def __init__(self, window: int, start: int = 0) -> None:
        self._largest_window = self.window = window
        self._limit = start + window
        self._waiting_bytes = 0
        self._waiting: dict[int, bytes] = {}
        self._order: list[int] = []
        self.next = start
        self.consumed = start

    @property
    def limit(self) -> int:
        """No byte at or above this may be sent yet."""
        return self._limit

    def consume(self, count: int) -> None:
        """Advance the window by `count` bytes that the application consumed."""
        self.consumed += count
        self._limit = max(self._limit, self.consumed + self.window)

    def limit_window(self, limit: int) -> None:
        """Grant at most `limit` bytes beyond what was consumed from now on; what was granted stays granted."""
        self.window = min(self._largest_window, limit)

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for others before them, or to be consumed."""
        return self.next - self.consumed + self._waiting_bytes

    def discard(self) -> None:
        """Discard all waiting records."""
        self._waiting.clear()
        self._order.clear()
        self._waiting_bytes = 0
        self.consumed = self.next

    def has_record(self, dsn: int) -> bool:
        """Whether the record at `dsn` has been received already."""
        return dsn < self.next or dsn in self._waiting

    def ranges(self, limit: int) -> tuple[tuple[int, int], ...]:
        """The lowest `limit` ranges [from, to) received beyond `next`."""
        if not self._order:
            return ()
        found: list[tuple[int, int]] = []
        for dsn in self._order:
            end = dsn + len(self._waiting[dsn])
            if found and found[-1][1] == dsn:
                found[-1] = (found[-1][0], end)
            elif len(found) == limit:
                break
            else:
                found.append((dsn, end))
        return tuple(found)

    def add_record(self, dsn: int, data: bytes) -> list[bytes]:
        """Add one authenticated record; return the bytes now in order. Raises `Overlap`, `WindowExceeded`."""
        end = dsn + len(data)
        if end > self._limit:
            raise WindowExceeded
        if end <= self.next:
            return []
        if dsn < self.next:
            raise Overlap
        if dsn > self.next:
            self._hold_record(dsn, data)
            return []
        ready = [data]
        self.next = end
        if not self._order:
            return ready
        taken = 0
        while taken < len(self._order) and self._order[taken] == self.next:
            following = self._waiting.pop(self.next)
            ready.append(following)
            self.next += len(following)
            self._waiting_bytes -= len(following)
            taken += 1
        del self._order[:taken]
        if self._order and self._order[0] < self.next:
            raise Overlap
        return ready

    def _hold_record(self, dsn: int, data: bytes) -> None:
        held = self._waiting.get(dsn)
        if held is not None:
            if len(held) != len(data):
                raise Overlap
            return
        at = bisect_left(self._order, dsn)
        below = self._order[at - 1] if at else None
        if below is not None and below + len(self._waiting[below]) > dsn:
            raise Overlap
        if at < len(self._order) and self._order[at] < dsn + len(data):
            raise Overlap
        if len(self._order) == UNACKNOWLEDGED_LIMIT:
            raise WindowExceeded
        insort(self._order, dsn)
        self._waiting[dsn] = data
        self._waiting_bytes += len(data)
