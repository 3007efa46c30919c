"""Addresses, routes and rules of this host by rtnetlink, for interfaces that lead through WireGuard."""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from relay.wireguard.device import WireguardUnavailable
from relay.wireguard.interface import NOT_PERMITTED

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_NO_DAD = 0x02  # IFA_F_NODAD: WireGuard has no neighbours to ask


@contextmanager
def open_netlink(what: str) -> Iterator[Any]:
    """Yield an `IPRoute`; errors of the kernel are `WireguardUnavailable` that says what failed."""
    with IPRoute() as ipr:
        try:
            yield ipr
        except NetlinkError as error:
            hint = NOT_PERMITTED if error.code == errno.EPERM else ""
            raise WireguardUnavailable(f"{what}: {os.strerror(error.code)}", hint) from None


def bring_up(ipr: Any, name: str, addresses: Iterable[str], mtu: int) -> int:
    """Give an interface exactly these addresses (with prefix lengths), set it up, and return its index."""
    index = socket.if_nametoindex(name)
    wanted = {str(ipaddress.ip_interface(address)) for address in addresses}
    for each in ipr.get_addr(index=index):
        found = ipaddress.ip_interface(f"{each.get_attr('IFA_ADDRESS')}/{each['prefixlen']}")
        if not found.is_link_local and str(found) not in wanted:
            ipr.addr("del", index=index, address=str(found.ip), prefixlen=each["prefixlen"])
    for address in wanted:
        interface = ipaddress.ip_interface(address)
        flags = {"flags": _NO_DAD} if interface.version == 6 else {}
        ipr.addr(
            "replace",
            family=_FAMILIES[interface.version],
            index=index,
            address=str(interface.ip),
            prefixlen=interface.network.prefixlen,
            **flags,
        )
    ipr.link("set", index=index, mtu=mtu, state="up")
    return index


def address_family(version: int) -> int:
    """Return the address family of an IP version."""
    return _FAMILIES[version]
