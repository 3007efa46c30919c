"""How a path leaves this host: its next hop, and of a path through a relay the underlay that it shares with others."""

import socket
from dataclasses import dataclass

from smkex.transport.routes import routes
from smkex.transport.routes.paths import PathUnusable, find_egress
from smkex.transport.routes.relay_paths import parse_endpoint_address, read_relay_paths
from smkex.transport.routes.routes import Address


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """The interface that packets leave by, the next hop (None: on the link), and the endpoint of a relay path."""

    leaves_by: str
    next_hop: str | None
    relay: str | None = None


def describe_route(interface: str, destination: Address) -> LocalRoute:
    """Ask the kernel how packets bound to `interface` leave; of a relay path, how those of its WireGuard do."""
    relay = read_relay_paths().get(interface)
    if relay is None:
        try:
            return LocalRoute(interface, find_egress(interface, destination).gateway)
        except PathUnusable:
            return LocalRoute(interface, None)
    try:
        route = routes.route_to(parse_endpoint_address(relay.endpoint), 0)
        leaves_by = socket.if_indextoname(route.interface)
    except OSError:
        return LocalRoute(relay.underlay, None, relay.endpoint)
    return LocalRoute(leaves_by, str(route.gateway) if route.gateway else None, relay.endpoint)
