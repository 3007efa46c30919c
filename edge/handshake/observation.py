"""Observation of a subflow: the client's address, and the edge where it entered the CDN."""

import socket
from ipaddress import ip_address

from node.mark import ingress_of_mark
from smkex.core.wire.messages import Endpoint, Observation


def observe_subflow(connection: socket.socket, edge_id: int) -> Observation:
    """Return the observation of an accepted subflow; without the forwarder's mark it entered at this edge."""
    host, port = connection.getpeername()[:2]
    address = ip_address(host)
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    mark = connection.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
    return decode_observation(mark, Endpoint(address, port), edge_id)


def decode_observation(mark: int, client: Endpoint, edge_id: int) -> Observation:
    """Decode a subflow's mark; without the forwarder's tag it entered at this edge."""
    ingress = ingress_of_mark(mark)
    return Observation(edge_id if ingress is None else ingress, client)
