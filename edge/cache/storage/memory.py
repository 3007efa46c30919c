"""Recently used responses in memory: all headers, and small bodies.

Bounded in bytes; the least recently used key is evicted first. Changes by other workers are applied before each lookup
(`ResponseStore.apply_invalidations`).
"""

from collections import OrderedDict
from collections.abc import Sequence

from edge.cache.rules.stored_response import StoredResponse

OBJECT_OVERHEAD = 2048  # approximate bytes of the Python objects of one entry


class MemoryCache:
    """Entries by key, at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._keys: OrderedDict[str, tuple[StoredResponse, ...]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: str) -> Sequence[StoredResponse]:
        entries = self._keys.get(key)
        if entries is None:
            return ()
        self._keys.move_to_end(key)
        return entries

    def put(self, key: str, entries: Sequence[StoredResponse]) -> None:
        """Replace the responses of `key`."""
        self.evict(key)
        if not entries:
            return
        self._keys[key] = tuple(entries)
        for entry in entries:
            entry.in_memory = True
        self.bytes += sum(map(_memory_cost, entries))
        while self.bytes > self.limit:
            self.evict(next(iter(self._keys)))

    def replace(self, old: StoredResponse, new: StoredResponse) -> None:
        """Put `new` in the place of `old`, a response of the same key that is in memory."""
        self.put(old.key, [new if one is old else one for one in self._keys[old.key]])

    def evict(self, key: str) -> None:
        for entry in self._keys.pop(key, ()):
            self.bytes -= _memory_cost(entry)
            entry.leave_memory()

    def clear(self) -> None:
        for key in list(self._keys):
            self.evict(key)


def _memory_cost(entry: StoredResponse) -> int:
    held = len(entry.body) if entry.body is not None else 0
    return held + entry.cost() - entry.size + OBJECT_OVERHEAD
