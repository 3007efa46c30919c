"""All edges in short, from memory: a page of 10,000 edges costs no query for each."""

from collections.abc import Sequence
from dataclasses import dataclass

from balancer.api.health import FleetHealth
from balancer.api.overview import EdgesOverview
from balancer.api.schemas import EdgeView
from balancer.control.clock import Clock
from balancer.control.edges.memory import EdgeMemory
from balancer.control.registry import edges as repository
from balancer.control.registry.directory import EdgeDirectory
from balancer.control.registry.table_state import table_state
from balancer.control.storage.store import Store
from balancer.model.table import EdgeState

DRAWN = 24  # more on one circle cannot be read
KEPT_SECONDS = 1.0  # that the list of all edges serves every page that is open


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """An edge in short; `text` is what a filter looks at, `forwards` bits a second."""

    id: int
    text: tuple[str, ...]
    state: EdgeState
    degraded: bool
    forwards: int

    @property
    def is_well(self) -> bool:
        return self.state is EdgeState.UP and not self.degraded


class EdgeOverview:
    """Lists edges for the fleet page."""

    def __init__(self, store: Store, directory: EdgeDirectory, memory: EdgeMemory, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._memory = memory
        self._clock = clock
        self._lines: list[EdgeLine] = []
        self._listed_at = -KEPT_SECONDS

    async def show(self, wanted: str, first: int, limit: int, named: Sequence[int]) -> EdgesOverview:
        """Show `limit` edges from place `first` on of those that match `wanted`, and those `named` by id."""
        lines = self._list_lines()
        matching = [line for line in lines if any(wanted in text for text in line.text)] if wanted else lines
        if len(matching) > limit:
            matching = sorted(matching, key=lambda line: line.is_well)
        items = [line.id for line in matching[first : first + limit]]
        drawn = sorted(line.id for line in sorted(lines, key=_drawing_rank)[:DRAWN])
        views = await self._views_of({*items, *drawn, *named})
        return EdgesOverview(
            generation=self._memory.watch.generation,
            edges=len(lines),
            up=sum(line.state is EdgeState.UP for line in lines),
            degraded=sum(line.state is EdgeState.UP and line.degraded for line in lines),
            draining=sum(line.state is EdgeState.DRAINING for line in lines),
            down=sum(line.state is EdgeState.DOWN for line in lines),
            matching=len(matching),
            items=[views[each] for each in items if each in views],
            drawn=[views[each] for each in drawn if each in views],
            named=[views[each] for each in named if each in views],
        )

    def _list_lines(self) -> list[EdgeLine]:
        now = self._clock.monotonic()
        if now - self._listed_at >= KEPT_SECONDS or len(self._lines) != self._directory.count():
            self._lines, self._listed_at = sorted(self._make_lines(), key=lambda line: line.id), now
        return self._lines

    def _make_lines(self) -> list[EdgeLine]:
        found: list[EdgeLine] = []
        for edge in self._directory.all_edges():
            state, health = table_state(edge.admin_state, edge.alive), self._memory.health.last_state(edge.id)
            heartbeat = self._memory.leases.heartbeat(edge.id)
            rates = heartbeat.forwards if heartbeat is not None else ()
            text = (edge.name, edge.site, str(edge.id), state.value, health.value, edge.admin_state)
            found.append(
                EdgeLine(
                    edge.id,
                    text,
                    state,
                    health is not FleetHealth.UP,
                    sum(rate.bits_per_second for rate in rates),
                )
            )
        return found

    async def _views_of(self, edge_ids: set[int]) -> dict[int, EdgeView]:
        async with self._store.read() as session:
            found = await repository.find_by_ids(session, list(edge_ids))
        return {edge_id: self._memory.view(record) for edge_id, record in found.items()}


def _drawing_rank(line: EdgeLine) -> tuple[bool, int]:
    return line.is_well, -line.forwards
