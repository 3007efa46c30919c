"""The health of every edge in memory, and since when. Transitions are stored by whoever asks, heartbeats are not."""

from dataclasses import dataclass
from datetime import datetime

from balancer.api.health import EdgeHealthView, FleetHealth, HealthReason
from balancer.api.schemas import LeaseRequest
from balancer.control.clock import Clock
from balancer.control.edges.leases import Leases
from balancer.control.health.judgement import judge
from balancer.control.health.reachability import Reachability


@dataclass(frozen=True, slots=True)
class Entry:
    """One edge's health as last judged."""

    state: FleetHealth
    since: datetime
    reasons: dict[str, datetime]


class HealthBoard:
    """Judges edges by leases and peers, and remembers since when a judgement and its reasons hold."""

    def __init__(self, clock: Clock, leases: Leases) -> None:
        self._clock = clock
        self._leases = leases
        self._entries: dict[int, Entry] = {}
        self._silent: set[int] = set()
        self.reachability = Reachability()

    def heard(self, edge_id: int, heartbeat: LeaseRequest) -> None:
        """Take in a heartbeat; its lease is renewed already."""
        self._silent.discard(edge_id)
        self.reachability.note(edge_id, heartbeat.peers)
        self.look(edge_id)

    def fell_silent(self, edge_id: int) -> None:
        """Take in that a lease has ended: what the edge said of others counts no more."""
        self._silent.add(edge_id)
        self.reachability.forget(edge_id)

    def forget(self, edge_id: int) -> None:
        """Drop an edge that was removed."""
        self._silent.discard(edge_id)
        self.reachability.forget(edge_id)
        self._entries.pop(edge_id, None)

    def given_up(self) -> list[int]:
        """Look at all the silent edges: those that no peer reaches are down, and not looked at again."""
        down = [edge_id for edge_id in self._silent if self.look(edge_id).state is FleetHealth.DOWN]
        self._silent.difference_update(down)
        return down

    def is_alive(self, edge_id: int) -> bool:
        """Whether the forwarding table may send subflows there."""
        return self.look(edge_id).state is not FleetHealth.DOWN

    def look(self, edge_id: int) -> Entry:
        """Judge an edge as of now."""
        lease = self._leases.get(edge_id)
        state, reasons = judge(
            lease.heartbeat if lease else None,
            leased=lease is not None,
            peers=self.reachability.about(edge_id),
        )
        now, before = self._clock.now(), self._entries.get(edge_id)
        known = before.reasons if before else {}
        entry = Entry(
            state,
            before.since if before and before.state is state else now,
            {reason: known.get(reason, now) for reason in reasons},
        )
        self._entries[edge_id] = entry
        return entry

    def view(self, edge_id: int) -> EdgeHealthView:
        """Show an edge's health."""
        entry = self.look(edge_id)
        reasons = [HealthReason(reason=reason, since=since) for reason, since in entry.reasons.items()]
        return EdgeHealthView(state=entry.state, since=entry.since, reasons=reasons)
