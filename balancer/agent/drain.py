"""How far a drain has come, by the time since it began. Pure."""

from dataclasses import dataclass

from balancer.api.health import DrainPhase


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """Seconds of each phase, and of the whole."""

    rehoming: float = 3.0
    shutdown: float = 2.0
    deadline: float = 3600.0

    def phase(self, since_start: float) -> DrainPhase:
        """The phase `since_start` seconds after the drain began."""
        if since_start >= self.deadline:
            return DrainPhase.OVER
        if since_start < self.rehoming:
            return DrainPhase.REHOMING
        if since_start < self.rehoming + self.shutdown:
            return DrainPhase.SHUTDOWN
        return DrainPhase.WITHDRAWN
