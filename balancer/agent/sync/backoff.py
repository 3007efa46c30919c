"""How long to wait before asking again a control plane that does not answer."""

import random


class Backoff:
    """Doubling delays, each drawn from the last `jitter` of it, so that a fleet does not return at once."""

    def __init__(self, first: float = 0.25, longest: float = 5.0, jitter: float = 0.5) -> None:
        self._first = min(first, longest)
        self._longest = longest
        self._jitter = jitter
        self._next = self._first

    def delay(self) -> float:
        """Return the next delay in seconds."""
        current, self._next = self._next, min(self._next * 2, self._longest)
        return current * random.uniform(1.0 - self._jitter, 1.0)  # noqa: S311 (not a secret)

    def reset(self) -> None:
        """Start over after an answer."""
        self._next = self._first
