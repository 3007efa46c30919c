"""Bandwidth of one session: bytes are sent no faster than a rate, with a burst of one second."""


class SessionPacer:
    """`rate`: bytes a second. Times are monotonic seconds."""

    __slots__ = ("_free_at", "rate")

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._free_at = 0.0  # when all that was sent would have left at the rate

    def delay(self, now: float) -> float:
        """Return the seconds to wait before more is sent."""
        return max(0.0, self._free_at - 1.0 - now)

    def continue_from(self, other: "SessionPacer") -> None:
        """Take over what another pacer of the same session has sent ahead."""
        self._free_at = other._free_at

    def record_sent(self, size: int, now: float) -> None:
        self._free_at = max(self._free_at, now) + size / self.rate
