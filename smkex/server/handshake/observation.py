"""Observation of a subflow: the client's address, and the edge where it entered the CDN."""

import socket
from collections.abc import Callable
from ipaddress import ip_address

from smkex.core.wire.messages import Endpoint, Observation

IngressOfMark = Callable[[int], int | None]


def ignore_mark(mark: int) -> int | None:
    """Decode no mark: every subflow entered at this server, which has no forwarder before it."""
    return None


class SubflowObserver:
    """Observes accepted subflows; `ingress_of_mark` decodes the forwarder's mark (SO_MARK), None without its tag."""

    def __init__(self, ingress_of_mark: IngressOfMark = ignore_mark) -> None:
        self._ingress_of_mark = ingress_of_mark

    def observe_subflow(self, connection: socket.socket, edge_id: int) -> Observation:
        """Return the observation of an accepted subflow; without the forwarder's mark it entered at this edge."""
        host, port = connection.getpeername()[:2]
        address = ip_address(host)
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        mark = connection.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
        return self.decode_observation(mark, Endpoint(address, port), edge_id)

    def decode_observation(self, mark: int, client: Endpoint, edge_id: int) -> Observation:
        """Decode a subflow's mark; without the forwarder's tag it entered at this edge."""
        ingress = self._ingress_of_mark(mark)
        return Observation(edge_id if ingress is None else ingress, client)
