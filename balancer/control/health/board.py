"""The health of every edge in memory, and since when. The caller stores transitions; heartbeats are not stored."""

from dataclasses import dataclass
from datetime import datetime

from balancer.api.health import EdgeHealthView, FleetHealth, HealthReason
from balancer.api.schemas import LeaseRequest
from balancer.control.clock import Clock
from balancer.control.health.assessment import assess_health
from balancer.control.health.damping import HALF_LIFE_LEASES, FlapPenalty
from balancer.control.health.leases import Leases
from balancer.control.health.reachability import Reachability


@dataclass(frozen=True, slots=True)
class HealthEntry:
    """One edge's health as last evaluated."""

    state: FleetHealth
    since: datetime
    reasons: dict[str, datetime]


class HealthBoard:
    """Evaluates edges by leases and peers, with the time since when state and reasons hold."""

    def __init__(self, clock: Clock, leases: Leases) -> None:
        self._clock = clock
        self._leases = leases
        self._entries: dict[int, HealthEntry] = {}
        self._silent: set[int] = set()
        self._half_life = HALF_LIFE_LEASES * leases.seconds
        self._undamped: dict[int, FleetHealth] = {}
        self._penalties: dict[int, FlapPenalty] = {}
        self._damped: set[int] = set()
        self.reachability = Reachability()

    def record_heartbeat(self, edge_id: int, heartbeat: LeaseRequest) -> None:
        """Record a heartbeat whose lease is already renewed."""
        self._silent.discard(edge_id)
        self.reachability.note(edge_id, heartbeat.peers)
        self.evaluate(edge_id)

    def record_silence(self, edge_id: int) -> None:
        """Record that a lease has ended, and discard what the edge reported of its peers."""
        self._silent.add(edge_id)
        self.reachability.forget(edge_id)

    def forget(self, edge_id: int) -> None:
        """Drop an edge that was removed."""
        self._silent.discard(edge_id)
        self.reachability.forget(edge_id)
        self._entries.pop(edge_id, None)
        self._undamped.pop(edge_id, None)
        self._penalties.pop(edge_id, None)
        self._damped.discard(edge_id)

    def remove_unreached(self) -> list[int]:
        """Return the silent edges that no peer reaches; they are down and leave the set of silent edges."""
        down = [edge_id for edge_id in self._silent if self.evaluate(edge_id).state is FleetHealth.DOWN]
        self._silent.difference_update(down)
        return down

    def is_alive(self, edge_id: int) -> bool:
        """Whether the forwarding table may send subflows there."""
        return self.evaluate(edge_id).state is not FleetHealth.DOWN

    def last_state(self, edge_id: int) -> FleetHealth:
        """Return the state as last evaluated: a heartbeat and the end of a lease evaluate it."""
        entry = self._entries.get(edge_id)
        return (entry if entry is not None else self.evaluate(edge_id)).state

    def evaluate(self, edge_id: int) -> HealthEntry:
        """Evaluate the health of an edge now."""
        lease = self._leases.get(edge_id)
        state, reasons = assess_health(
            lease.heartbeat if lease else None,
            leased=lease is not None,
            peers=self.reachability.about(edge_id),
        )
        if self._is_damped(edge_id, state):
            state, reasons = FleetHealth.DOWN, (*reasons, "goes up and down: kept down until it is stable")
        now, before = self._clock.now(), self._entries.get(edge_id)
        known = before.reasons if before else {}
        entry = HealthEntry(
            state,
            before.since if before and before.state is state else now,
            {reason: known.get(reason, now) for reason in reasons},
        )
        self._entries[edge_id] = entry
        return entry

    def _is_damped(self, edge_id: int, state: FleetHealth) -> bool:
        """Count an edge that goes down, and return whether it must stay down; never for more than a third of all."""
        now, before = self._clock.monotonic(), self._undamped.get(edge_id)
        self._undamped[edge_id] = state
        if state is FleetHealth.DOWN and before not in (None, FleetHealth.DOWN):
            self._penalties.setdefault(edge_id, FlapPenalty(self._half_life)).add_flap(now)
        penalty = self._penalties.get(edge_id)
        self._damped.discard(edge_id)
        if penalty is None or not penalty.is_damped(now) or 3 * (len(self._damped) + 1) > len(self._undamped):
            return False
        self._damped.add(edge_id)
        return True

    def view(self, edge_id: int) -> EdgeHealthView:
        """Show an edge's health."""
        entry = self.evaluate(edge_id)
        reasons = [HealthReason(reason=reason, since=since) for reason, since in entry.reasons.items()]
        return EdgeHealthView(state=entry.state, since=entry.since, reasons=reasons)
