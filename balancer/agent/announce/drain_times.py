"""How far a drain has come, by the time since it began and by what the edge says of its sessions. Pure."""

from dataclasses import dataclass

from node.state.desired_state import DrainPhase


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """Seconds of each phase, and of the whole. Re-homing takes `rehoming` at least and `rehoming_limit` at most."""

    rehoming: float = 3.0
    rehoming_limit: float = 30.0
    shutdown: float = 2.0
    deadline: float = 3600.0

    def rehomed_after(self, since_start: float, at_service_port: int | None) -> float | None:
        """When re-homing was over, in seconds since the drain began; None while it goes on.

        `at_service_port` sessions could lose a path there; of None, an edge that does not say, nothing is to be
        waited for.
        """
        limit = max(self.rehoming, self.rehoming_limit)
        if since_start < self.rehoming or (at_service_port and since_start < limit):
            return None
        return min(since_start, limit)  # an agent that was away for longer does not begin the next phase anew

    def phase(self, since_start: float, rehomed_after: float | None) -> DrainPhase:
        """The phase `since_start` seconds after the drain began."""
        if since_start >= self.deadline:
            return DrainPhase.OVER
        if rehomed_after is None:
            return DrainPhase.REHOMING
        if since_start < rehomed_after + self.shutdown:
            return DrainPhase.SHUTDOWN
        return DrainPhase.WITHDRAWN
