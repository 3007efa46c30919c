"""What this edge sees of a subflow: the client's address, and the edge where it entered the CDN."""

import socket
from ipaddress import ip_address

from smkex.core.wire.messages import Endpoint, Observation

MARK_TAG = 0x5E000000  # the forwarder's mark after decapsulation: tag in the high byte, ingress id in the low 16 bits
DIRECT_TAG = 0x5D000000  # the same of a VIP whose replies do not go back by the ingress
MARK_MASK = 0xFF000000
INGRESS_MASK = 0x0000FFFF


def observe(connection: socket.socket, edge_id: int) -> Observation:
    """The kernel's view of an accepted subflow; without the forwarder's mark it came in here."""
    host, port = connection.getpeername()[:2]
    address = ip_address(host)
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    mark = connection.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
    return observation(mark, Endpoint(address, port), edge_id)


def observation(mark: int, client: Endpoint, edge_id: int) -> Observation:
    """What a subflow's mark and address say; without the forwarder's tag it came in at this edge."""
    ingress = mark & INGRESS_MASK if mark & MARK_MASK in (MARK_TAG, DIRECT_TAG) else edge_id
    return Observation(ingress, client)
