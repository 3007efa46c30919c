"""Damping of edges that flap: one that goes down again and again stays down for a while (RFC 2439 in spirit). Pure.

Each time it goes down costs a point, and points halve with time. An edge is damped from so many points on until few
are left; the limit of points bounds how long that takes.
"""

from dataclasses import dataclass

SUPPRESS = 4.0  # points from which on an edge stays down
REUSE = 1.0  # points below which it may come up again
LIMIT = 8.0  # points at most: three half-lives until it may come up again
HALF_LIFE_LEASES = 6.0


@dataclass(slots=True)
class FlapPenalty:
    """The points of one edge."""

    half_life: float
    points: float = 0.0
    at: float = 0.0
    damped: bool = False

    def add_flap(self, now: float) -> None:
        """Record that the edge went down."""
        self.points = min(LIMIT, self.points_at(now) + 1)
        self.at = now
        self.damped = self.damped or self.points >= SUPPRESS

    def points_at(self, now: float) -> float:
        """Return the points that are left."""
        return float(self.points * 0.5 ** ((now - self.at) / self.half_life))

    def is_damped(self, now: float) -> bool:
        """Return whether the edge must stay down."""
        if self.damped and self.points_at(now) < REUSE:
            self.damped = False
        return self.damped
