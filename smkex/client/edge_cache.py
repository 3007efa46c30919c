"""Which edge owned the last session behind a service address, so that the next opens both paths at its locator.

The id is a hint about where to dial, never a fact: the exchange that follows proves everything afresh.
"""

from collections.abc import Callable

from smkex.transport.tcp import Target

LIFETIME = 3600.0  # seconds
LIMIT = 1024  # addresses


class EdgeCache:
    """Edge ids by target, in memory. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ids: dict[Target, tuple[int, float]] = {}

    def get(self, target: Target) -> int | None:
        edge_id, expiry = self._ids.get(target, (None, 0.0))
        return edge_id if self._clock() < expiry else None

    def put(self, target: Target, edge_id: int) -> None:
        self._ids.pop(target, None)
        if len(self._ids) == LIMIT:
            del self._ids[next(iter(self._ids))]
        self._ids[target] = (edge_id, self._clock() + LIFETIME)

    def drop(self, target: Target) -> None:
        self._ids.pop(target, None)
