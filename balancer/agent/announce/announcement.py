"""Decide whether and how this node announces the VIP. Pure: the announcer asks and does."""

from dataclasses import dataclass
from enum import Enum

from node.state.desired_state import AdminState, DrainPhase


class Announcement(Enum):
    """What BIRD is to say of the VIP."""

    NONE = "withdrawn"
    LAST_CHOICE = "announced as the last choice"  # GRACEFUL_SHUTDOWN (RFC 8326)
    NORMAL = "announced"


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the decision rests on."""

    admin_state: AdminState = AdminState.ACTIVE
    drain: DrainPhase | None = None
    hard: str | None = None  # a failure with which the edge serves nobody
    soft: str | None = None  # one that may be the fleet's own
    granted: bool = False  # leave to withdraw for the soft one
    must_announce: bool = False  # no leave, or no answer: in spite of the soft one
    stand_in: int | None = None  # cut off from the backbone, and this edge, asked from outside, is not
    forwarder_ready: bool = True
    held: bool = True  # nearly all forwarders send this edge its subflows


Decision = tuple[Announcement, str]


def decide(announcing: bool, situation: Situation) -> Decision:
    """Return what to announce, and why."""
    if situation.hard:
        return Announcement.NONE, situation.hard
    if situation.admin_state is AdminState.DISABLED:
        return Announcement.NONE, "disabled"
    if situation.admin_state is AdminState.DRAINING:
        return _draining(announcing, situation.drain)
    if situation.stand_in is not None:
        return Announcement.NONE, f"cut off from the backbone, where edge {situation.stand_in} is not"
    if situation.granted:
        return Announcement.NONE, f"by a grant: {situation.soft}"
    if announcing:
        return Announcement.NORMAL, f"in spite of {situation.soft}" if situation.soft else "all is well"
    return _begin(situation)


def _draining(announcing: bool, phase: DrainPhase | None) -> Decision:
    if announcing and phase is DrainPhase.REHOMING:
        return Announcement.NORMAL, "draining: sessions leave the service port"
    if announcing and phase is DrainPhase.SHUTDOWN:
        return Announcement.LAST_CHOICE, "draining: routes move to other edges"
    return Announcement.NONE, "draining"


def _begin(situation: Situation) -> Decision:
    if not situation.forwarder_ready:
        return Announcement.NONE, "the forwarder has applied no table"
    if not situation.held:
        return Announcement.NONE, "not all forwarders have applied a table that holds this edge"
    if situation.soft and not situation.must_announce:
        return Announcement.NONE, f"asks whether to stay away: {situation.soft}"
    return Announcement.NORMAL, f"in spite of {situation.soft}" if situation.soft else "all is well"
