"""Back-off of background revalidations while the origin fails."""

from collections import OrderedDict

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
KEYS_LIMIT = 10_000


class RevalidationBackoff:
    """For each key that failed: until when not to retry, and the current delay, doubled by each failure."""

    def __init__(self) -> None:
        self._failing: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def may_retry(self, key: str, now: float) -> bool:
        until, _ = self._failing.get(key, (now, 0.0))
        return now >= until

    def record(self, key: str, failed: bool, now: float) -> None:
        """Record the outcome of one fetch."""
        if not failed:
            self._failing.pop(key, None)
            return
        _, delay = self._failing.get(key, (0.0, 0.0))
        delay = min(max(2 * delay, FIRST_SECONDS), LONGEST_SECONDS)
        self._failing[key] = (now + delay, delay)
        self._failing.move_to_end(key)
        if len(self._failing) > KEYS_LIMIT:
            self._failing.popitem(last=False)
