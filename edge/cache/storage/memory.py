"""Stored responses that were asked for lately, in memory: headers of all, bodies of the small ones.

Bounded in bytes, the least recently used key goes first. What another worker replaces or removes is forgotten here
before the next look at it (`Store.hear`).
"""

from collections import OrderedDict
from collections.abc import Sequence

from edge.cache.entry import JOINED, Entry

PYTHON_OBJECTS = 2048  # bytes of objects around one entry's headers, about


class Memory:
    """Entries by key, at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._keys: OrderedDict[str, tuple[Entry, ...]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: str) -> Sequence[Entry]:
        entries = self._keys.get(key)
        if entries is None:
            return ()
        self._keys.move_to_end(key)
        return entries

    def put(self, key: str, entries: Sequence[Entry]) -> None:
        """Keep these as all the stored responses to `key`."""
        self.forget(key)
        if not entries:
            return
        self._keys[key] = tuple(entries)
        self.bytes += sum(map(_cost, entries))
        while self.bytes > self._limit:
            self.forget(next(iter(self._keys)))

    def forget(self, key: str) -> None:
        self.bytes -= sum(map(_cost, self._keys.pop(key, ())))

    def clear(self) -> None:
        self._keys.clear()
        self.bytes = 0


def _cost(entry: Entry) -> int:
    held = len(entry.body) if entry.body is not None else 0
    if held <= JOINED:
        held *= 2  # once more with its head, for the straight way
    return held + entry.cost() - entry.size + PYTHON_OBJECTS
