"""How long the agent has given no sign of life, as its watcher measures it. Pure: time is passed in."""


class SilenceTimer:
    """Seconds without a new sign. A host that was frozen froze the watcher too: only observed time counts."""

    def __init__(self, sign: float, now: float, step_limit: float) -> None:
        self._sign, self._observed_at = sign, now
        self._step_limit = step_limit
        self._seconds = 0.0

    def observe(self, sign: float, now: float) -> float:
        """Return the silence up to now; `sign` is the time of the last sign of life."""
        step = min(now - self._observed_at, self._step_limit)
        self._seconds = 0.0 if sign != self._sign else self._seconds + step
        self._observed_at, self._sign = now, sign
        return self._seconds
