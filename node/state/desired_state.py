"""agent.json: what the operator wants of this edge, and how far a drain has come."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.state.boot_clock import BootMoment
from node.state.catalogue import DESIRED_STATE


class AdminState(StrEnum):
    """What the operator wants of an edge, apart from how it is."""

    ACTIVE = "active"
    DRAINING = "draining"
    DISABLED = "disabled"


class DrainPhase(StrEnum):
    """How far a drain has come, in this order."""

    REHOMING = "re-homing"  # sessions leave the service port for the locator
    SHUTDOWN = "graceful-shutdown"  # announced as the last choice (RFC 8326)
    WITHDRAWN = "withdrawn"  # subflows that others forward are served on
    OVER = "over"  # the deadline has passed: what was left was closed


@dataclass(frozen=True, slots=True)
class DesiredState:
    """`since`: when it changed. `rehomed_after`: seconds from there until the drain's sessions had left the service
    port, or had used up their time."""

    admin_state: AdminState = AdminState.ACTIVE
    since: BootMoment | None = None
    drain: DrainPhase | None = None
    rehomed_after: float | None = None


def read_desired_state(state: Path) -> DesiredState:
    """Return what the operator last wanted: an edge without a valid file is active."""
    value = DESIRED_STATE.find_object(state) or {}
    try:
        since, drain, rehomed = (value.get(name) for name in ("since", "drain", "rehomed_after"))
        return DesiredState(
            AdminState(value.get("admin_state", "active")),
            BootMoment.from_json(since) if since is not None else None,
            None if drain is None else DrainPhase(drain),
            None if rehomed is None else float(rehomed),
        )
    except (TypeError, ValueError, KeyError):
        return DesiredState()


def write_desired_state(state: Path, wanted: DesiredState) -> None:
    """Keep what is wanted: it holds while the control plane is away, and across restarts."""
    DESIRED_STATE.write_object(
        state,
        {
            "admin_state": wanted.admin_state.value,
            "since": wanted.since.to_json() if wanted.since else None,
            "drain": wanted.drain.value if wanted.drain else None,
            "rehomed_after": wanted.rehomed_after,
        },
    )
