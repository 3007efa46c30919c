"""Operations on enrolled edges: list, show, change, remove."""

from balancer.api.schemas import EdgePatch, EdgeView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.edges.memory import EdgeMemory
from balancer.control.http.preconditions import check_etag
from balancer.control.registry import edges
from balancer.control.sites import service as sites
from balancer.control.storage.store import Store


class EdgeService:
    """Edges as operators see and change them."""

    def __init__(self, store: Store, memory: EdgeMemory) -> None:
        self._store = store
        self._memory = memory

    async def list_edges(self, after: int, limit: int) -> tuple[list[EdgeView], int | None]:
        """List edges by id, and where the next page starts."""
        async with self._store.read() as session:
            found = await edges.list_page(session, after, limit + 1)
        following = found[limit - 1].id if len(found) > limit else None
        return [self._memory.view(edge) for edge in found[:limit]], following

    async def show_edge(self, edge_id: int) -> tuple[EdgeView, int]:
        """Return one edge, and its revision."""
        async with self._store.read() as session:
            edge = await edges.find_edge(session, edge_id)
        return self._memory.view(edge), edge.revision

    async def patch_edge(
        self, edge_id: int, body: EdgePatch, by: Caller, if_match: str | None
    ) -> tuple[EdgeView, int]:
        """Change an edge; returns it with its revision."""
        async with self._store.change() as session:
            edge, now = await edges.find_edge(session, edge_id), self._store.now()
            check_etag(if_match, edge)
            if body.site is not None and body.site != edge.site:
                await sites.ensure_site(session, now, body.site, by)
                change = f"{edge.site} -> {body.site}"
                audit.record_change(session, now, by, "edge.site", edge.name, change)
                edge.site = body.site
                await sites.check_ring(session, body.site)
            for field in ("weight", "encapsulation"):
                value = getattr(body, field)
                if value is not None and value != getattr(edge, field):
                    change = f"{getattr(edge, field)} -> {value}"
                    audit.record_change(session, now, by, f"edge.{field}", edge.name, change)
                    setattr(edge, field, value)
            if body.admin_state is not None and body.admin_state != edge.admin_state:
                state = body.admin_state.value
                edges.add_transition(session, now, edge_id, "admin-state", state, by.name)
                change = f"{edge.admin_state} -> {state}"
                audit.record_change(session, now, by, "edge.admin-state", edge.name, change)
                edge.admin_state = state
            await session.flush()
        return self._memory.view(edge), edge.revision

    async def remove_edge(self, edge_id: int, by: Caller, if_match: str | None) -> None:
        """Remove an edge; its id goes into quarantine."""
        async with self._store.change() as session:
            edge, now = await edges.find_edge(session, edge_id), self._store.now()
            check_etag(if_match, edge)
            await edges.free_id(session, edge, now)
            edges.add_transition(session, now, edge_id, "removed", edge.name, by.name)
            audit.record_change(session, now, by, "edge.remove", edge.name, f"id {edge_id}")
        self._memory.forget_edge(edge_id)
