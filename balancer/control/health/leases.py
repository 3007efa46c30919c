"""Leases in memory: which edges sent a heartbeat recently. Nothing here is stored."""

from collections.abc import Iterable
from dataclasses import dataclass

from balancer.api.schemas import LeaseRequest, LeaseView
from balancer.control.clock import Clock


@dataclass(frozen=True, slots=True)
class Lease:
    """When a lease ends, and the heartbeat that renewed it; None during the grace period after a start."""

    ends_at: float
    heartbeat: LeaseRequest | None


class Leases:
    """Every lease, by edge id."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self._leases: dict[int, Lease] = {}
        self._successors: dict[int, str] = {}
        self.unknown_members = 0  # ignored in heartbeats of newer agents

    def grant_grace(self, edge_ids: Iterable[int]) -> None:
        """Give every edge one lease after a start, since heartbeats could not arrive before."""
        ends_at = self._clock.monotonic() + self.seconds
        self._leases.update({edge_id: Lease(ends_at, None) for edge_id in edge_ids})

    def renew(self, edge_id: int, heartbeat: LeaseRequest, age: float = 0.0) -> Lease:
        """Record a heartbeat received `age` seconds ago; one older than the known one is ignored."""
        self.unknown_members += heartbeat.drop_unknown_members()
        lease = Lease(self._clock.monotonic() + self.seconds - age, heartbeat)
        known = self._leases.get(edge_id)
        if known is not None and known.heartbeat is not None and known.ends_at > lease.ends_at:
            return known
        self._leases[edge_id] = lease
        return lease

    def forget(self, edge_id: int) -> None:
        """Drop the lease of an edge that was removed."""
        self._leases.pop(edge_id, None)
        self._successors.pop(edge_id, None)

    def name_successor(self, edge_id: int, instance: str) -> None:
        """Record that an agent has started in the place of the holder, on the same host."""
        self._successors[edge_id] = instance

    def successor(self, edge_id: int) -> str | None:
        """Return the agent that started last in the place of the holder, while the lease lasts."""
        return self._successors.get(edge_id)

    def get(self, edge_id: int) -> Lease | None:
        """Return the lease of an edge that holds one."""
        lease = self._leases.get(edge_id)
        return lease if lease is not None and lease.ends_at > self._clock.monotonic() else None

    def count(self) -> int:
        """Return how many edges hold a lease."""
        now = self._clock.monotonic()
        return sum(lease.ends_at > now for lease in self._leases.values())

    def heartbeat(self, edge_id: int) -> LeaseRequest | None:
        """Return the newest heartbeat of an edge that holds a lease."""
        lease = self.get(edge_id)
        return lease.heartbeat if lease else None

    def drop_expired(self) -> list[int]:
        """Drop the leases that have ended, and return their edges."""
        now = self._clock.monotonic()
        expired = [edge_id for edge_id, lease in self._leases.items() if lease.ends_at <= now]
        for edge_id in expired:
            del self._leases[edge_id]
            self._successors.pop(edge_id, None)
        return expired

    def view(self, edge_id: int, *, granted: bool = False) -> LeaseView | None:
        """Return a lease as the API shows it."""
        lease = self._leases.get(edge_id)
        if lease is None or lease.heartbeat is None:
            return None
        return LeaseView(
            health=lease.heartbeat.health,
            reasons=lease.heartbeat.reasons,
            applied_generation=lease.heartbeat.applied_generation,
            expires_in=round(max(0.0, lease.ends_at - self._clock.monotonic()), 3),
            announcing=lease.heartbeat.announcing,
            granted=granted,
            sessions=lease.heartbeat.sessions,
            forwards=lease.heartbeat.forwards,
            drain=lease.heartbeat.drain,
        )
