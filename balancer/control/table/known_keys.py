"""Which keys each live node accepts for tables, as its heartbeats say: a rotation ends when all know the next one."""

from collections.abc import Mapping, Sequence

from node.state.table_key import FINGERPRINT


def shorten_key(key: bytes) -> str:
    """Return what a heartbeat says of a key."""
    return key.hex()[:FINGERPRINT]


class KnownKeys:
    """Fingerprints by edge id. A node of a release without them counts as one that knows none."""

    def __init__(self) -> None:
        self._known: dict[int, frozenset[str]] = {}

    @property
    def count(self) -> int:
        """Return how many live nodes there are."""
        return len(self._known)

    @property
    def known(self) -> Mapping[int, frozenset[str]]:
        """Return the fingerprints, by edge id."""
        return self._known

    def note(self, edge_id: int, keys: Sequence[str]) -> None:
        """Record what a heartbeat says."""
        self._known[edge_id] = frozenset(keys)

    def forget(self, edge_id: int) -> None:
        """Drop a node whose lease has ended."""
        self._known.pop(edge_id, None)

    def nodes_without(self, key: bytes) -> list[int]:
        """Return the live nodes that do not accept a key, in order."""
        wanted = shorten_key(key)
        return sorted(edge_id for edge_id, known in self._known.items() if wanted not in known)
