"""Observation of a subflow: the client's address, and the edge where it entered the CDN."""

import functools
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from smkex.core.wire.messages import Endpoint, Observation

IngressOfMark = Callable[[int], int | None]


def ignore_mark(mark: int) -> int | None:
    """Decode no mark: every subflow entered at this server, which has no forwarder before it."""
    return None


class SubflowObserver:
    """Observes accepted subflows; `ingress_of_mark` decodes the forwarder's mark (SO_MARK), None without its tag."""

    def __init__(self, ingress_of_mark: IngressOfMark = ignore_mark) -> None:
        self._ingress_of_mark = ingress_of_mark
        self._reads_marks = ingress_of_mark is not ignore_mark

    def observe_subflow(self, connection: socket.socket, peer: Any, edge_id: int) -> Observation:
        """Return the observation of a subflow accepted from `peer`; without the forwarder's mark it entered here.

        Raises OSError.
        """
        client = Endpoint(_client_address(peer[0]), peer[1])
        if not self._reads_marks:
            return Observation(edge_id, client)
        mark = connection.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
        return self.decode_observation(mark, client, edge_id)

    def decode_observation(self, mark: int, client: Endpoint, edge_id: int) -> Observation:
        """Decode a subflow's mark; without the forwarder's tag it entered at this edge."""
        ingress = self._ingress_of_mark(mark)
        return Observation(edge_id if ingress is None else ingress, client)


@functools.lru_cache(maxsize=4096)  # called twice for each session
def _client_address(host: str) -> IPv4Address | IPv6Address:
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
