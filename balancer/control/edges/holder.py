"""One agent at a time holds an edge's identity: a copied state folder does not make a second one.

An agent's instance names its host's boot and its start. While the holder's lease lasts, an agent of another host is
refused, and so are heartbeats of an agent on the same host that another one has replaced by enrolling after it.
"""

from balancer.api.schemas import LeaseRequest
from balancer.control.health.leases import Leases
from balancer.control.http.problems import Refusal


def check_holder(leases: Leases, edge_id: int, instance: str | None, *, starts: bool = False) -> None:
    """Refuse an agent that is not the holder of a live lease; one that `starts` may be the holder's successor."""
    heartbeat = leases.heartbeat(edge_id)
    holder = successor_of(heartbeat, leases.successor(edge_id))
    if holder is None or instance is None or instance == holder:
        return
    if starts and instance.partition("-")[0] == holder.partition("-")[0]:
        leases.name_successor(edge_id, instance)
        return
    detail = f"another agent holds edge {edge_id}: instance {holder}; this one is {instance}. Was its state copied?"
    raise Refusal(409, "edge-held", detail, field="instance")


def successor_of(heartbeat: LeaseRequest | None, successor: str | None) -> str | None:
    """Return the instance that holds an edge: the successor that started on its host, or the last sender."""
    if heartbeat is None:
        return None
    return successor or heartbeat.instance
