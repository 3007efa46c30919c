"""What one edge did in the last hour, minute by minute: 4 KB, so that 10,000 edges take 40 MB."""

from array import array

from balancer.api.figures import STATUS_CLASSES

STEP_SECONDS = 60
STEPS = 60  # the current one included
# places in `ServiceFiguresBody.as_numbers`: requests, hits, bytes_out, origin requests, failures and seconds, 4xx, 5xx
KEPT = (0, 1, 3, 4, 5, 6, 7 + STATUS_CLASSES - 2, 7 + STATUS_CLASSES - 1)
WIDTH = len(KEPT)


class EdgeRing:
    """Sums by minute. A minute that passed without a report is cleared before its place is used again."""

    __slots__ = ("_newest", "_sums")

    def __init__(self) -> None:
        self._sums = array("d", bytes(8 * WIDTH * STEPS))
        self._newest = 0  # the last minute that was written

    def add_numbers(self, now: float, numbers: list[float]) -> None:
        """Add to the minute of `now`, in seconds since 1970. A clock that goes back adds to the newest minute."""
        step = max(int(now // STEP_SECONDS), self._newest)
        for passed in range(max(self._newest, step - STEPS) + 1, step + 1):
            at = passed % STEPS * WIDTH
            self._sums[at : at + WIDTH] = array("d", bytes(8 * WIDTH))
        self._newest = step
        at = step % STEPS * WIDTH
        for offset, place in enumerate(KEPT):
            self._sums[at + offset] += numbers[place]

    def read_steps(self, now: float) -> list[list[float]]:
        """Return the sums of the minutes that have ended, oldest first, in the order of `KEPT`."""
        end = int(now // STEP_SECONDS)
        return [self._read_step(step) for step in range(end - STEPS + 1, end)]

    def _read_step(self, step: int) -> list[float]:
        if not self._newest - STEPS < step <= self._newest:
            return [0.0] * WIDTH
        at = step % STEPS * WIDTH
        return self._sums[at : at + WIDTH].tolist()
