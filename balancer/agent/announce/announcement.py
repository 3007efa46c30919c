"""Decide whether and how this node announces the VIP. Pure: the announcer observes and acts."""

from dataclasses import dataclass
from enum import Enum

from node.state.desired_state import AdminState, DrainPhase


class Announcement(Enum):
    """How BIRD announces the VIP."""

    NONE = "withdrawn"
    LAST_CHOICE = "announced as the last choice"  # GRACEFUL_SHUTDOWN (RFC 8326)
    NORMAL = "announced"


@dataclass(frozen=True, slots=True)
class AnnouncementInputs:
    """Everything that the decision depends on."""

    admin_state: AdminState = AdminState.ACTIVE
    drain: DrainPhase | None = None
    hard: str | None = None  # a failure with which the edge can serve no client
    soft: str | None = None  # one that may be the fleet's own
    granted: bool = False  # a withdrawal grant is held for the soft failure
    must_announce: bool = False  # no grant, or no answer: announce in spite of the soft failure
    stand_in: int | None = None  # cut off from the backbone, and this edge, asked from outside, is not
    forwarder_ready: bool = True
    in_forwarders: bool = True  # at least 99 % of the forwarders send this edge its subflows


AnnouncementDecision = tuple[Announcement, str]


def decide_announcement(announcing: bool, inputs: AnnouncementInputs) -> AnnouncementDecision:
    """Return what to announce, and why."""
    if inputs.hard:
        return Announcement.NONE, inputs.hard
    if inputs.admin_state is AdminState.DISABLED:
        return Announcement.NONE, "disabled"
    if inputs.admin_state is AdminState.DRAINING:
        return _decide_draining(announcing, inputs.drain)
    if inputs.stand_in is not None:
        return Announcement.NONE, f"cut off from the backbone, where edge {inputs.stand_in} is not"
    if inputs.granted:
        return Announcement.NONE, f"by a grant: {inputs.soft}"
    if announcing:
        return Announcement.NORMAL, f"in spite of {inputs.soft}" if inputs.soft else "all is well"
    return _decide_first_announcement(inputs)


def _decide_draining(announcing: bool, phase: DrainPhase | None) -> AnnouncementDecision:
    if announcing and phase is DrainPhase.REHOMING:
        return Announcement.NORMAL, "draining: sessions leave the service port"
    if announcing and phase is DrainPhase.SHUTDOWN:
        return Announcement.LAST_CHOICE, "draining: routes move to other edges"
    return Announcement.NONE, "draining"


def _decide_first_announcement(inputs: AnnouncementInputs) -> AnnouncementDecision:
    if not inputs.forwarder_ready:
        return Announcement.NONE, "the forwarder has applied no table"
    if not inputs.in_forwarders:
        return Announcement.NONE, "not all forwarders have applied a table that holds this edge"
    if inputs.soft and not inputs.must_announce:
        return Announcement.NONE, f"asks for a withdrawal grant: {inputs.soft}"
    return Announcement.NORMAL, f"in spite of {inputs.soft}" if inputs.soft else "all is well"
