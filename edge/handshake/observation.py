"""Observation of a subflow: the client's address, and the edge where it entered the CDN."""

import socket
from ipaddress import ip_address

from smkex.core.wire.messages import Endpoint, Observation

MARK_TAG = 0x5E000000  # the forwarder's mark after decapsulation: tag in the high byte, ingress id in the low 16 bits
DIRECT_TAG = 0x5D000000  # the same for a VIP with direct return
MARK_MASK = 0xFF000000
INGRESS_MASK = 0x0000FFFF


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
    ingress = mark & INGRESS_MASK if mark & MARK_MASK in (MARK_TAG, DIRECT_TAG) else edge_id
    return Observation(ingress, client)
