"""What `sennit path list` shows: the interfaces that clients of this host may use, and how each leaves it."""

import ipaddress
import socket
from dataclasses import asdict, dataclass
from typing import Any

from relay.client.policy_routes import find_gateway, interface_index
from relay.host_network import address_family, open_netlink
from relay.wireguard.device import WireguardUnavailable
from relay.wireguard.interface import find_device
from smkex.transport.routes.paths import automatic_paths, default_interfaces
from smkex.transport.routes.relay_paths import RelayPath, parse_endpoint_address, read_relay_paths


@dataclass(frozen=True, slots=True)
class ListedPath:
    """One interface; `next_hop` is None on a link without one.

    `path` is its number where a client takes it by itself. Of a relay path the next hop is the underlay's, and
    `last_handshake` (unix seconds, 0 none) is None for users who may not ask.
    """

    interface: str
    path: int | None
    addresses: tuple[str, ...]
    next_hop: str | None
    relay: str | None = None
    endpoint: str | None = None
    underlay: str | None = None
    prefixes: tuple[str, ...] = ()
    last_handshake: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_paths() -> list[ListedPath]:
    """Return the interfaces with a default route and those that lead to relays, in the order clients take them."""
    relays = read_relay_paths()
    names = dict.fromkeys([*default_interfaces(4), *default_interfaces(6), *relays])
    chosen = {name: number for number, name in enumerate(automatic_paths())}
    with open_netlink("list of paths") as ipr:
        return [_list_path(ipr, name, chosen.get(name), relays.get(name)) for name in names]


def _list_path(ipr: Any, name: str, number: int | None, relay: RelayPath | None) -> ListedPath:
    addresses = tuple(
        str(address)
        for family in (socket.AF_INET, socket.AF_INET6)
        for each in ipr.get_addr(family=family, index=interface_index(name))
        if not (
            address := ipaddress.ip_address(each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS"))
        ).is_link_local
    )
    if relay is None:
        return ListedPath(name, number, addresses, _default_gateway(ipr, name))
    endpoint = parse_endpoint_address(relay.endpoint)
    try:
        next_hop = find_gateway(ipr, interface_index(relay.underlay), endpoint)
    except LookupError:
        next_hop = None
    return ListedPath(
        name,
        number,
        addresses,
        next_hop,
        relay.relay,
        relay.endpoint,
        relay.underlay,
        relay.prefixes,
        _last_handshake(name),
    )


def _default_gateway(ipr: Any, name: str) -> str | None:
    for version in (4, 6):
        for route in ipr.get_default_routes(family=address_family(version), table=254):
            if route.get_attr("RTA_OIF") == interface_index(name) and route.get_attr("RTA_GATEWAY"):
                return str(route.get_attr("RTA_GATEWAY"))
    return None


def _last_handshake(name: str) -> int | None:
    device = find_device(name)
    try:
        peers = device.read_status().peers.values() if device is not None else ()
    except WireguardUnavailable:
        return None
    return max((peer.last_handshake for peer in peers), default=None)
