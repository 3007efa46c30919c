"""Which forwarders have applied which generation: an edge announces only when nearly all forward to it.

A forwarder that has not applied a generation for several leases no longer follows the table: it does not count as
live (its own edge reports the reason), and no edge waits for it any longer.
"""

import math
from collections import Counter
from collections.abc import Mapping

from balancer.api.numbers import epoch_after, epoch_of
from balancer.control.clock import Clock
from balancer.model.table import EdgeState, ForwardingTable, TableEdge

REQUIRED_SHARE = 0.99
FUTURE_SECONDS = 86_400.0  # by which a clock may be behind that began an epoch
STUCK_LEASES = 3.0  # leases


class Acknowledgements:
    """Counts applied generations, and knows since which generation the table sends subflows to each edge."""

    def __init__(self, clock: Clock, lease_seconds: float, table: ForwardingTable) -> None:
        """Treat the table at the start as new: forwarders that have it report so within a lease."""
        self._clock = clock
        self._patience = STUCK_LEASES * lease_seconds
        self._applied: dict[int, int] = {}
        self._ahead: dict[int, int] = {}
        self._counts: Counter[int] = Counter()
        self._table = ForwardingTable(generation=0)
        self._held: dict[int, tuple[int, float]] = {}
        self._adopt_table(table)

    @property
    def applied(self) -> Mapping[int, int]:
        """Return the generation that each live forwarder has applied, by edge id."""
        return self._applied

    @property
    def ahead(self) -> Mapping[int, int]:
        """Return the forwarders with a generation that this control plane does not know, which counts as unknown."""
        return self._ahead

    def note(self, edge_id: int, generation: int | None, newest: int) -> None:
        """Record what an edge's forwarder has applied; None for an edge without a forwarder."""
        self.forget(edge_id)
        if generation is not None and generation > newest:
            self._ahead[edge_id] = generation
        elif generation is not None:
            self._applied[edge_id] = generation
            self._counts[generation] += 1

    def forget(self, edge_id: int) -> None:
        """Drop a forwarder whose lease has ended."""
        self._ahead.pop(edge_id, None)
        if (generation := self._applied.pop(edge_id, None)) is not None:
            self._counts[generation] -= 1
            if not self._counts[generation]:
                del self._counts[generation]

    def oldest_applied(self, newest: int) -> int:
        """Return the oldest generation that a live forwarder has applied; `newest` if there is none."""
        if self._ahead:
            return 0
        return min(self._applied.values(), default=newest)

    def highest_lost(self, newest: int, seconds: float) -> int | None:
        """Return the highest generation at the forwarders, if most of them are ahead: the database went back.

        A generation from the future (`seconds` since 1970) is no evidence.
        """
        latest = epoch_after(0, seconds + FUTURE_SECONDS)
        ahead = [each for each in self._ahead.values() if each > newest and epoch_of(each) <= latest]
        if 2 * len(ahead) <= len(self._applied) + len(self._ahead):
            return None
        return max(ahead)

    def is_held(self, edge_id: int, table: ForwardingTable) -> bool:
        """Whether 99 of 100 live forwarders send this edge its subflows, by the newest table."""
        self._adopt_table(table)
        if edge_id not in self._held:
            return False
        generation, since = self._held[edge_id]
        have = sum(count for applied, count in self._counts.items() if applied >= generation)
        wanted = math.ceil(REQUIRED_SHARE * self._counts.total())
        return have >= wanted or self._clock.monotonic() - since > self._patience

    def _adopt_table(self, table: ForwardingTable) -> None:
        if table.generation == self._table.generation:
            return
        before = {edge.id: edge for edge in self._table.edges if _takes_subflows(edge)}
        now = self._clock.monotonic()
        held: dict[int, tuple[int, float]] = {}
        for edge in filter(_takes_subflows, table.edges):
            same = edge.id in before and _tunnel_addresses(before[edge.id]) == _tunnel_addresses(edge)
            held[edge.id] = self._held[edge.id] if same else (table.generation, now)
        self._table, self._held = table, held


def _takes_subflows(edge: TableEdge) -> bool:
    return edge.state is not EdgeState.DOWN


def _tunnel_addresses(edge: TableEdge) -> tuple[str | None, str | None]:
    return edge.tunnel_v4, edge.tunnel_v6
