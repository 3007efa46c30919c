"""How long to wait before asking again a control plane that does not answer."""

import random


class Backoff:
    """Doubling delays, each drawn between half and the whole of it, so that a fleet does not return at once."""

    def __init__(self, first: float = 0.25, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def delay(self) -> float:
        """Return the next delay in seconds."""
        current, self._next = self._next, min(self._next * 2, self._longest)
        return current * random.uniform(0.5, 1.0)  # noqa: S311 (not a secret)

    def reset(self) -> None:
        """Start over after an answer."""
        self._next = self._first
