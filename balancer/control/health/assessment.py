"""Evaluate an edge's health from its own report and its peers' reports. Pure.

An edge is down if it reports so, or if its lease is lost and no peer reaches it. A lost lease alone is not enough:
the agent may be dead or cut off from the control plane while the edge serves.
"""

from collections.abc import Mapping

from balancer.api.health import FleetHealth, PeerReport
from balancer.api.schemas import Health, LeaseRequest

Judgement = tuple[FleetHealth, tuple[str, ...]]


def assess_health(
    heartbeat: LeaseRequest | None, *, leased: bool, peers: Mapping[int, PeerReport]
) -> Judgement:
    """Return the state and the reasons. `heartbeat` is None during the grace period after a start."""
    reached = sorted(who for who, report in peers.items() if report.reached)
    if not leased:
        if not reached:
            return FleetHealth.DOWN, ("lease lost", _describe_unreached(peers))
        return FleetHealth.DEGRADED, ("lease lost", f"reached by {_name_edges(reached)}")
    if heartbeat is None:
        return FleetHealth.UP, ()
    own = tuple(heartbeat.reasons)
    if heartbeat.health is Health.DOWN:
        return FleetHealth.DOWN, own
    # one failing peer may itself be at fault; if several try and none succeeds, the edge is at fault
    if len(peers) > 1 and not reached:
        own += (_describe_unreached(peers),)
    return FleetHealth.DEGRADED if own or heartbeat.health is Health.DEGRADED else FleetHealth.UP, own


def _describe_unreached(peers: Mapping[int, PeerReport]) -> str:
    if not peers:
        return "no peer has tried to reach it"
    outside = sorted(who for who, report in peers.items() if report.outside)
    also = f", though {_name_edges(outside)} from outside" if outside else ""
    return f"not reached by {_name_edges(sorted(peers))}{also}"


def _name_edges(edge_ids: list[int]) -> str:
    shown = ", ".join(str(edge_id) for edge_id in edge_ids[:8])
    return f"edge {shown}" + (", ..." if len(edge_ids) > 8 else "")
