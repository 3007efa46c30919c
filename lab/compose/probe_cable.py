"""In compose: the cable between an edge and the container that it is probed from, and Docker's addresses on it.

The containers find its ends by these, and give them the addresses of probes beside.
"""

from ipaddress import IPv4Interface

from balancer.agent.probe.namespace import HOST_INTERFACE, PROBE_INTERFACE
from lab.topology import End, LabNode


def prober_of(edge: LabNode) -> str:
    """Return the name of the container, and of its cable."""
    return f"{edge.name}-probe"


def probe_ends(edge: LabNode) -> tuple[End, End]:
    """Return the edge's end and the other."""
    near, far = (IPv4Interface(f"10.14.{edge.edge_id}.{number}/29") for number in (2, 3))
    return End(edge.name, HOST_INTERFACE, near), End(prober_of(edge), PROBE_INTERFACE, far)
