"""Edges in memory, so that a heartbeat asks no database: who has which credential, and what is wanted of whom.

Each change that this instance commits brings it up to date; what other instances on the same database have changed it
looks for every 0.2 s, and so may be that much behind. Who is not in here may be in the database all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.schemas import AdminState
from balancer.control.edges import repository
from balancer.control.storage.records import EdgeRecord


@dataclass(frozen=True, slots=True)
class Known:
    """What a heartbeat needs to know of an edge."""

    id: int
    name: str
    credential_sha256: str
    admin_state: str
    alive: bool


class Directory:
    """Every edge, by id and by credential."""

    def __init__(self) -> None:
        self._by_id: dict[int, Known] = {}
        self._by_credential: dict[str, Known] = {}
        self._active: set[int] = set()
        self._seen = -1  # the last change that was looked at

    async def catch_up(self, session: AsyncSession) -> None:
        """Take in what other instances have changed.

        A change of our own that is committed between these queries may be undone here, until the next look.
        """
        newest = await repository.newest_revision(session)
        if newest == self._seen:
            return
        for edge in await repository.changed_since(session, self._seen):
            self._drop(edge.id)
            self._put(edge)
        if await repository.count(session) != len(self._by_id):
            for edge_id in self._by_id.keys() - await repository.ids(session):
                self._drop(edge_id)
        self._seen = newest

    def committed(self, touched: Mapping[object, bool]) -> None:
        """Take in what a change stored (True) and deleted (False)."""
        for record, stored in touched.items():
            if isinstance(record, EdgeRecord):
                self._drop(record.id)
                if stored:
                    self._put(record)

    def get(self, edge_id: int) -> Known | None:
        return self._by_id.get(edge_id)

    def of_credential(self, credential_sha256: str) -> Known | None:
        return self._by_credential.get(credential_sha256)

    def active_ids(self) -> frozenset[int]:
        """Edges that the operator wants in service."""
        return frozenset(self._active)

    def _put(self, edge: EdgeRecord) -> None:
        known = Known(edge.id, edge.name, edge.credential_sha256, edge.admin_state, edge.alive)
        self._by_id[edge.id] = self._by_credential[edge.credential_sha256] = known
        if edge.admin_state == AdminState.ACTIVE:
            self._active.add(edge.id)

    def _drop(self, edge_id: int) -> None:
        self._active.discard(edge_id)
        if known := self._by_id.pop(edge_id, None):
            del self._by_credential[known.credential_sha256]
