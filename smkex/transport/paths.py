"""Paths: the interfaces a client sends by, and whether two of them really are two ways."""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from smkex.core.errors import OnePathOnly, SharedPath

TCP_FASTOPEN_CONNECT = 30  # linux/tcp.h
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PathUnusable(OnePathOnly):
    """An interface has no way to the service address."""


@dataclass(frozen=True, slots=True)
class Way:
    """How packets to one destination leave by one interface."""

    interface: str
    index: int
    source: str
    gateway: str | None
    gateway_link_address: str | None


def find_way(interface: str, destination: Address) -> Way:
    """Ask the kernel how `destination` is reached by `interface`; raises `PathUnusable`."""
    with IPRoute() as kernel:
        found = kernel.link_lookup(ifname=interface)
        if not found:
            raise PathUnusable(f"there is no interface {interface}")
        try:
            routes = kernel.route("get", dst=str(destination), oif=found[0])
        except NetlinkError as error:
            raise PathUnusable(f"{interface} has no route to {destination}: {error.args[-1]}") from None
        route = dict(routes[0]["attrs"])
        if route.get("RTA_OIF") != found[0]:
            raise PathUnusable(f"the route to {destination} does not leave by {interface}")
        source, gateway = route.get("RTA_PREFSRC"), route.get("RTA_GATEWAY")
        if source is None:
            raise PathUnusable(f"{interface} has no address to reach {destination} from")
        link_address = None
        if gateway is not None:
            for neighbour in kernel.get_neighbours(ifindex=found[0], dst=gateway):
                link_address = dict(neighbour["attrs"]).get("NDA_LLADDR")
        return Way(interface, found[0], source, gateway, link_address)


async def find_ways(interfaces: tuple[str, str], destination: Address) -> tuple[Way, Way]:
    """`find_way` for both paths, beside the event loop: pyroute2's calls block."""
    first, second = interfaces
    return (
        await asyncio.to_thread(find_way, first, destination),
        await asyncio.to_thread(find_way, second, destination),
    )


def default_interfaces(version: int = 4) -> list[str]:
    """Interfaces with a default route, the kernel's favourite first."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with IPRoute() as kernel:
        routes = [dict(route["attrs"]) for route in kernel.get_default_routes(family=family, table=254)]
        routes.sort(key=lambda route: route.get("RTA_PRIORITY", 0))
        names: dict[str, None] = {}
        for route in routes:
            if "RTA_OIF" in route:
                names[socket.if_indextoname(route["RTA_OIF"])] = None
        return list(names)


def require_two_ways(first: Way, second: Way) -> None:
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


async def dial(interface: str, address: Address, port: int, *, fast_open: bool = False) -> socket.socket:
    """Open a TCP connection that leaves by `interface` and no other (SO_BINDTODEVICE).

    A source address alone does not choose the way out. With `fast_open` and a cookie of an earlier connection the
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
