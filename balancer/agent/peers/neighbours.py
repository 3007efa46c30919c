"""Which other edges this one probes: the few that follow it on a ring in the order of a hash.

So every edge is probed by as many edges as it probes, at any site, without coordination.
"""

import hashlib
from pathlib import Path

from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.table_file import TableFile

PEER_COUNT = 3


def peers_of(edge_id: int, table: ForwardingTable, count: int = PEER_COUNT) -> tuple[TableEdge, ...]:
    """The edges that `edge_id` probes, none where the table does not hold it."""
    ring = sorted(table.edges, key=lambda edge: (_ring_position(edge.id), edge.id))
    at = next((place for place, edge in enumerate(ring) if edge.id == edge_id), None)
    if at is None:
        return ()
    return tuple((ring[at + 1 :] + ring[:at])[:count])


def _ring_position(edge_id: int) -> bytes:
    return hashlib.sha256(b"%d" % edge_id).digest()[:8]


class PeerSelection:
    """The peers as of the newest table on disk, worked out once for each."""

    def __init__(self, state: Path, count: int = PEER_COUNT) -> None:
        self._file = TableFile(state)
        self._count = count
        self._for: tuple[int, int] | None = None
        self._peers: tuple[TableEdge, ...] = ()

    def peers(self, edge_id: int) -> tuple[TableEdge, ...]:
        """The edges that `edge_id` probes now."""
        table = self._file.read()
        if table is None:
            return self._peers
        if self._for != (edge_id, table.generation):
            self._for, self._peers = (edge_id, table.generation), peers_of(edge_id, table, self._count)
        return self._peers
