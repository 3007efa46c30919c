"""Edges in memory, so that a heartbeat needs no query: credentials and admin states.

Each commit of this instance updates it; changes of other instances on the same database are read every 0.2 s, so it
may be behind by that much. An edge that is missing here may still be in the database.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.registry import edges as repository
from balancer.control.storage.records import EdgeRecord
from node.state.desired_state import AdminState


@dataclass(frozen=True, slots=True)
class EdgeSnapshot:
    """The fields of an edge that a heartbeat needs."""

    id: int
    name: str
    site: str
    credential_sha256: str
    admin_state: str
    alive: bool


class EdgeDirectory:
    """All edges, by id and by credential."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._by_id: dict[int, EdgeSnapshot] = {}
        self._by_credential: dict[str, EdgeSnapshot] = {}
        self._active: set[int] = set()
        self._seen = -1  # the last change that was read

    async def catch_up(self, session: AsyncSession) -> None:
        """Load what other instances have changed.

        A change of our own that is committed between these queries may be undone here, until the next look.
        """
        newest = await repository.newest_revision(session)
        if newest == self._seen:
            return
        if newest < self._seen:  # the database went back
            self._clear()
        for edge in await repository.changed_since(session, self._seen):
            self._drop(edge.id)
            self._put(edge)
        if await repository.count_edges(session) != len(self._by_id):
            for edge_id in self._by_id.keys() - await repository.list_ids(session):
                self._drop(edge_id)
        self._seen = newest

    def committed(self, touched: Mapping[object, bool]) -> None:
        """Update from the records that a change stored (True) and deleted (False)."""
        for record, stored in touched.items():
            if isinstance(record, EdgeRecord):
                self._drop(record.id)
                if stored:
                    self._put(record)

    def get(self, edge_id: int) -> EdgeSnapshot | None:
        return self._by_id.get(edge_id)

    def of_credential(self, credential_sha256: str) -> EdgeSnapshot | None:
        return self._by_credential.get(credential_sha256)

    def all_edges(self) -> list[EdgeSnapshot]:
        """Return every edge."""
        return list(self._by_id.values())

    def count(self) -> int:
        return len(self._by_id)

    def active_ids(self) -> frozenset[int]:
        """Return the edges whose admin state is active."""
        return frozenset(self._active)

    def serving_edges(self, sites: Container[str]) -> list[EdgeSnapshot]:
        """Return the edges of these sites that are alive and active, by id."""
        active = (self._by_id[edge_id] for edge_id in sorted(self._active))
        return [edge for edge in active if edge.alive and edge.site in sites]

    def _put(self, edge: EdgeRecord) -> None:
        known = EdgeSnapshot(
            edge.id, edge.name, edge.site, edge.credential_sha256, edge.admin_state, edge.alive
        )
        self._by_id[edge.id] = self._by_credential[edge.credential_sha256] = known
        if edge.admin_state == AdminState.ACTIVE:
            self._active.add(edge.id)

    def _drop(self, edge_id: int) -> None:
        self._active.discard(edge_id)
        if known := self._by_id.pop(edge_id, None):
            del self._by_credential[known.credential_sha256]
