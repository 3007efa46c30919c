"""Ask the kernel for routes and neighbours (rtnetlink(7)): how packets would go, by one interface and no other.

Some tens of microseconds a question, on the way of every handshake; a general library takes milliseconds.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from smkex.transport.routes.netlink import NetlinkSocket, encode_attribute, parse_attributes

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NETLINK_ROUTE = 0
_GET_ADDRESS, _GET_ROUTE, _GET_NEIGHBOUR = 22, 26, 30
_MAIN_TABLE = 254
_UNICAST = 1
_GONE = 1 | 16  # RTNH_F_DEAD, RTNH_F_LINKDOWN: the kernel keeps such routes, and they lead nowhere
# attributes of routes, addresses and neighbours (linux/rtnetlink.h, if_addr.h, neighbour.h)
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE = 1, 4, 5, 6, 7, 9, 15
_ADDRESS, _LOCAL = 1, 2
_NEIGHBOUR_DST, _NEIGHBOUR_LINK_ADDRESS = 1, 2
_RTMSG = struct.Struct("=BBBBBBBBI")
_IFADDRMSG = struct.Struct("=BBBBI")
_NDMSG = struct.Struct("=BBHiHBB")
_NEXTHOP = struct.Struct("=HBBi")


@dataclass(frozen=True, slots=True)
class Route:
    """The interface's index, the source address the kernel would take, and the next hop where there is one."""

    interface: int
    source: Address | None
    gateway: Address | None


@contextmanager
def _netlink_socket() -> Iterator[NetlinkSocket]:
    sock = NetlinkSocket(_NETLINK_ROUTE)
    try:
        yield sock
    finally:
        sock.close()


def route_to(destination: Address, interface: int) -> Route:
    """Raises OSError with the kernel's reason where there is no such route."""
    body = _RTMSG.pack(_address_family(destination.version), destination.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    body += encode_attribute(_DST, destination.packed) + encode_attribute(_OIF, struct.pack("=i", interface))
    with _netlink_socket() as kernel:
        answer = dict(parse_attributes(kernel.request(_GET_ROUTE, body, acknowledged=False)[_RTMSG.size :]))
    (leaves_by,) = struct.unpack("=i", answer.get(_OIF, bytes(4)))
    return Route(leaves_by, _parse_address(answer.get(_PREFSRC)), _parse_address(answer.get(_GATEWAY)))


def neighbour_link_address(neighbour: Address, interface: int) -> bytes | None:
    """The link-layer address behind a next hop; None while the kernel does not know it."""
    body = _NDMSG.pack(_address_family(neighbour.version), 0, 0, interface, 0, 0, 0)
    body += encode_attribute(_NEIGHBOUR_DST, neighbour.packed)
    try:
        with _netlink_socket() as kernel:
            answer = kernel.request(_GET_NEIGHBOUR, body, acknowledged=False)
    except OSError:
        return None
    return dict(parse_attributes(answer[_NDMSG.size :])).get(_NEIGHBOUR_LINK_ADDRESS) or None


def interfaces_with_address(address: Address) -> set[int]:
    """The interfaces that have this address."""
    found = set()
    with _netlink_socket() as kernel:
        for body in kernel.dump(_GET_ADDRESS, _IFADDRMSG.pack(_address_family(address.version), 0, 0, 0, 0)):
            facts = dict(parse_attributes(body[_IFADDRMSG.size :]))
            # on a point-to-point link the plain address is the other end's
            if facts.get(_LOCAL, facts.get(_ADDRESS)) == address.packed:
                found.add(_IFADDRMSG.unpack_from(body)[4])
    return found


def default_routes(version: int) -> list[tuple[int, int]]:
    """(metric, interface) of each default route of the main table, lowest metric first."""
    found = []
    with _netlink_socket() as kernel:
        for body in kernel.dump(_GET_ROUTE, _RTMSG.pack(_address_family(version), 0, 0, 0, 0, 0, 0, 0, 0)):
            _, length, _, _, table, _, _, kind, flags = _RTMSG.unpack_from(body)
            facts = dict(parse_attributes(body[_RTMSG.size :]))
            if _TABLE in facts:
                (table,) = struct.unpack("=I", facts[_TABLE])
            alive = not flags & _GONE
            if length == 0 and table == _MAIN_TABLE and kind == _UNICAST and alive:
                (metric,) = struct.unpack("=I", facts.get(_PRIORITY, bytes(4)))
                found += [(metric, interface) for interface in _route_interfaces(facts)]
    return sorted(found, key=lambda one: one[0])


def _route_interfaces(facts: dict[int, bytes]) -> Iterator[int]:
    if _OIF in facts:
        yield struct.unpack("=i", facts[_OIF])[0]
    hops, at = facts.get(_MULTIPATH, b""), 0
    while at + _NEXTHOP.size <= len(hops):
        length, flags, _, interface = _NEXTHOP.unpack_from(hops, at)
        if not flags & _GONE:
            yield interface
        at += max((length + 3) & ~3, _NEXTHOP.size)


def _address_family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _parse_address(packed: bytes | None) -> Address | None:
    return ipaddress.ip_address(packed) if packed is not None and len(packed) in (4, 16) else None
