"""Look up the interfaces that the programs are attached to."""

from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute

from balancer.model.reference.tunnel import Ends
from balancer.model.table import TableEdge

WITH_ETHERNET = (1, 772)  # ARPHRD_ETHER, ARPHRD_LOOPBACK
V4, V6, UNIVERSE = 2, 10, 0
UP = 1  # IFF_UP


class InterfaceUnknown(Exception):
    """An interface is missing or unsuitable."""


@dataclass(frozen=True, slots=True)
class AttachedLink:
    """One interface; `raw` if it has no Ethernet header. `kind` of a virtual interface, such as veth or bridge."""

    name: str
    index: int
    mtu: int
    raw: bool
    kind: str = ""
    up: bool = True


def find_link(kernel: IPRoute, name: str) -> AttachedLink:
    """Raises `InterfaceUnknown`."""
    found = kernel.link_lookup(ifname=name)
    if not found:
        raise InterfaceUnknown(f"there is no interface {name}")
    message: Any = kernel.get_links(found[0])[0]
    about: Any = message.get_attr("IFLA_LINKINFO")
    return AttachedLink(
        name,
        message["index"],
        message.get_attr("IFLA_MTU"),
        message["ifi_type"] not in WITH_ETHERNET,
        (about.get_attr("IFLA_INFO_KIND") or "") if about else "",
        bool(message["flags"] & UP),
    )


def own_ends(kernel: IPRoute, backbone: AttachedLink, entry: TableEdge | None) -> Ends:
    """Return this edge's tunnel endpoints: the backbone's addresses; of several, those that the table names.

    Raises `InterfaceUnknown`.
    """
    ends = Ends(
        _choose_address(interface_addresses(kernel, backbone.index, V4), entry.tunnel_v4 if entry else None),
        _choose_address(interface_addresses(kernel, backbone.index, V6), entry.tunnel_v6 if entry else None),
    )
    if ends.v4 is None and ends.v6 is None:
        raise InterfaceUnknown(f"{backbone.name} has no address: tunnels end there")
    return ends


def interface_addresses(kernel: IPRoute, index: int, family: int) -> list[str]:
    """Return the global addresses of an interface."""
    return [
        message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        for message in kernel.get_addr(family=family, index=index)
        if message["scope"] == UNIVERSE
    ]


def _choose_address(addresses: list[str], preferred: str | None) -> str | None:
    return preferred if preferred in addresses else next(iter(addresses), None)
