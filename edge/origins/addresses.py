"""Which addresses the origins of services may have: not those that only this node, or its provider, can reach.

The author of a service's document would otherwise read the node's own endpoints, or the credentials that a cloud's
metadata service gives its machine, through the edge.
"""

import contextlib
import ipaddress
import socket
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# metadata services with addresses of other ranges than the link-local one
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class OriginAddresses:
    """The rule for one node: `denied` prefixes beside the built-in ones, and `allowed` ones that override both."""

    def __init__(self, allowed: Iterable[Network] = (), denied: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._denied = tuple(denied)

    def refusal(self, address: IPAddress) -> str | None:
        """Return why `address` must not be connected to, None if it may."""
        # an address that carries another leads there
        reason = next(
            (why for each in _reached_addresses(address) if (why := self._judge_address(each))), None
        )
        return f"{address} is {reason}: not connected to without --origin-allow" if reason else None

    def _judge_address(self, address: IPAddress) -> str | None:
        if any(address in network for network in self._allowed):
            return None
        if any(address in network for network in self._denied):
            return "in --origin-deny"
        return _describe_special(address) or (
            "an address of this node" if is_local_address(address) else None
        )


def _reached_addresses(address: IPAddress) -> list[IPAddress]:
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    return [address] if inner is None else [address, inner]


def _describe_special(address: IPAddress) -> str | None:
    if address in METADATA_ADDRESSES:
        return "a metadata service"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_unspecified or (address.version == 4 and address in ipaddress.IPv4Network("0.0.0.0/8")):
        return "an unspecified address"
    if address.is_multicast or (address.version == 4 and address.is_reserved):
        return "no address of a host"
    return None


def is_local_address(address: IPAddress) -> bool:
    """Whether packets for `address` stay on this host: the kernel would send them from the same address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((str(address), 9))  # sends nothing
        return ipaddress.ip_address(probe.getsockname()[0]) == address
    return False  # there is no route
