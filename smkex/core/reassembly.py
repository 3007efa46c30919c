"""Put the records of all paths back in the order of the stream (bounded by the window)."""

from smkex.core.errors import Overlap, WindowExceeded


class Reassembly:
    """The receiving half of one stream.

    `next` is the first byte not yet in order. An exact duplicate of a record is dropped; records are sealed
    once, so two that overlap otherwise prove a peer that breaks the protocol.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._waiting: dict[int, bytes] = {}
        self.next = 0
        self.consumed = 0

    @property
    def limit(self) -> int:
        """No byte at or above this may be sent yet."""
        return self.consumed + self._window

    def consume(self, count: int) -> None:
        """The application took `count` bytes: the window moves."""
        self.consumed += count

    def add(self, dsn: int, data: bytes) -> list[bytes]:
        """Take one authentic record; return what is now in order. Raises `Overlap`, `WindowExceeded`."""
        end = dsn + len(data)
        if end > self.limit:
            raise WindowExceeded
        if end <= self.next:
            return []
        if dsn < self.next:
            raise Overlap
        if dsn > self.next:
            self._keep(dsn, data)
            return []
        ready = [data]
        self.next = end
        while self._waiting and (following := self._waiting.pop(self.next, None)) is not None:
            ready.append(following)
            self.next += len(following)
        if self._waiting and min(self._waiting) < self.next:
            raise Overlap
        return ready

    def _keep(self, dsn: int, data: bytes) -> None:
        held = self._waiting.get(dsn)
        if held is not None:
            if len(held) != len(data):
                raise Overlap
            return
        end = dsn + len(data)
        if any(dsn < at + len(kept) and at < end for at, kept in self._waiting.items()):
            raise Overlap
        self._waiting[dsn] = data
