"""Paths: the interfaces a client sends by, and whether two of them really differ."""

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from smkex.core.errors import OnePathOnly, SharedPath
from smkex.transport.routes import routes
from smkex.transport.routes.relay_paths import read_relay_paths
from smkex.transport.routes.routes import Address

LOOPBACK_INDEX = 1  # the index of lo, whose addresses belong to the whole host
TCP_FASTOPEN_CONNECT = 30  # linux/tcp.h


class PathUnusable(OnePathOnly):
    """An interface has no route to the service address."""


@dataclass(frozen=True, slots=True)
class EgressRoute:
    """How packets to one destination leave by one interface."""

    interface: str
    index: int
    source: str
    gateway: str | None
    gateway_link_address: bytes | None


def find_egress(interface: str, destination: Address) -> EgressRoute:
    """Ask the kernel how `destination` is reached by `interface`; raises `PathUnusable`."""
    try:
        index = socket.if_nametoindex(interface)
    except OSError:
        raise PathUnusable(f"there is no interface {interface}") from None
    try:
        route = routes.route_to(destination, index)
    except OSError as error:
        raise PathUnusable(f"{interface} has no route to {destination}: {error.strerror}") from None
    if route.interface != index:
        raise PathUnusable(f"the route to {destination} does not leave by {interface}")
    if route.source is None:
        raise PathUnusable(f"{interface} has no address to reach {destination} from")
    if routes.interfaces_with_address(route.source).isdisjoint({index, LOOPBACK_INDEX}):
        raise PathUnusable(
            f"{interface} has no address of its own to reach {destination} from, and what answers {route.source}"
            " comes by another interface"
        )
    link_address = routes.neighbour_link_address(route.gateway, index) if route.gateway is not None else None
    gateway = str(route.gateway) if route.gateway is not None else None
    return EgressRoute(interface, index, str(route.source), gateway, link_address)


def find_egresses(interfaces: tuple[str, str], destination: Address) -> tuple[EgressRoute, EgressRoute]:
    """`find_egress` for both paths."""
    return find_egress(interfaces[0], destination), find_egress(interfaces[1], destination)


def automatic_paths(versions: Iterable[int] = (4, 6)) -> list[str]:
    """Two interfaces, or fewer: those with a default route, lowest metric first, then those that lead to relays."""
    wanted = list(versions)
    names = chain.from_iterable(default_interfaces(version) for version in wanted)
    relays = (name for name, path in read_relay_paths().items() if not path.versions().isdisjoint(wanted))
    return list(dict.fromkeys(chain(names, relays)))[:2]


def default_interfaces(version: int = 4) -> list[str]:
    """Interfaces with a default route, lowest metric first."""
    names = [socket.if_indextoname(interface) for _, interface in routes.default_routes(version)]
    return list(dict.fromkeys(names))


def require_distinct_egress(first: EgressRoute, second: EgressRoute) -> None:
    """Raise `SharedPath` where both go by one interface or one next hop.

    Two networks may use the same gateway address: then the link addresses behind it decide, and where they are
    not known the answer is no.
    """
    if first.index == second.index:
        raise SharedPath(f"both paths leave by {first.interface}")
    if first.gateway is None or first.gateway != second.gateway:
        return
    known = first.gateway_link_address is not None and second.gateway_link_address is not None
    if not known or first.gateway_link_address == second.gateway_link_address:
        raise SharedPath(f"both paths have the next hop {first.gateway}")


async def connect_from(
    interface: str, address: Address, port: int, *, fast_open: bool = False
) -> socket.socket:
    """Open a TCP connection that leaves by `interface` and no other (SO_BINDTODEVICE).

    A source address alone does not choose the interface. With `fast_open` and a cookie of an earlier connection the
    SYN waits for the first bytes sent and carries them (RFC 7413), so that a refusal shows only afterwards: they
    must be such that a replayed SYN does no harm. Raises `PathUnusable`, or OSError as `connect` does.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        except OSError as error:
            raise PathUnusable(f"cannot bind to {interface}: {error.strerror}") from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if fast_open:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock
