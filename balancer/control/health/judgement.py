"""Judge how an edge is, from its own word and its peers'. Pure.

Down is an edge that says so, or whose lease is lost while no peer reaches it. Silence alone is not enough: the agent
may be dead, or cut off from here, while the edge serves.
"""

from collections.abc import Mapping

from balancer.api.health import FleetHealth, PeerReport
from balancer.api.schemas import Health, LeaseRequest

Judgement = tuple[FleetHealth, tuple[str, ...]]


def judge(heartbeat: LeaseRequest | None, *, leased: bool, peers: Mapping[int, PeerReport]) -> Judgement:
    """Return the state and the reasons. `heartbeat` is None while the grace after a start stands for it."""
    reached = sorted(who for who, report in peers.items() if report.reached)
    if not leased:
        if not reached:
            return FleetHealth.DOWN, ("lease lost", _unreached(peers))
        return FleetHealth.DEGRADED, ("lease lost", f"reached by {_edges(reached)}")
    if heartbeat is None:
        return FleetHealth.UP, ()
    own = tuple(heartbeat.reasons)
    if heartbeat.health is Health.DOWN:
        return FleetHealth.DOWN, own
    # one peer's failure may be that peer's; where several try and none gets through, it is the edge's
    if len(peers) > 1 and not reached:
        own += (_unreached(peers),)
    return FleetHealth.DEGRADED if own or heartbeat.health is Health.DEGRADED else FleetHealth.UP, own


def _unreached(peers: Mapping[int, PeerReport]) -> str:
    if not peers:
        return "no peer has tried to reach it"
    outside = sorted(who for who, report in peers.items() if report.outside)
    also = f", though {_edges(outside)} from outside" if outside else ""
    return f"not reached by {_edges(sorted(peers))}{also}"


def _edges(edge_ids: list[int]) -> str:
    shown = ", ".join(str(edge_id) for edge_id in edge_ids[:8])
    return f"edge {shown}" + (", ..." if len(edge_ids) > 8 else "")
