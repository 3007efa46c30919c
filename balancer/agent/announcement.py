"""Decide whether this node announces the VIP. Pure: the daemon asks and does."""

from dataclasses import dataclass

from balancer.api.schemas import AdminState, Health


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the decision rests on."""

    health: Health
    forwarder_ready: bool
    admin_state: AdminState
    drained_for: float = 0.0  # seconds since the edge was to drain


# in which the edge asks its clients to leave the service port for its locator, that no route change touches
REHOMING = 3.0


def decide(announcing: bool, situation: Situation) -> tuple[bool, str]:
    """Return whether to announce, and why.

    Hard failures withdraw at once. A degraded edge keeps what it has: withdrawing for a soft reason could take
    the whole fleet away at the same time.
    """
    if situation.health is Health.DOWN:
        return False, "the edge is down"
    if situation.admin_state is AdminState.DRAINING and announcing and situation.drained_for < REHOMING:
        return True, "sessions leave the service port"
    if situation.admin_state is not AdminState.ACTIVE:
        return False, f"admin state {situation.admin_state}"
    if announcing:
        return True, f"the edge is {situation.health}"
    if not situation.forwarder_ready:
        return False, "the forwarder has applied no table"
    return situation.health is Health.OK, f"the edge is {situation.health}"
