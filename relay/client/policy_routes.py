"""The routes of a path: a table of its own, for what is bound to its interface or has its address, and
for the relay.

The host's own routes are neither changed nor used by other programs otherwise than before. The relay is reached by the
underlay or not at all: with no route there, its address is unreachable.
"""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from relay.host_network import address_family
from smkex.transport.routes.routes import Address

FIRST_TABLE = 0x5E100000
PRIORITY = 0x5E10  # before the main table (32766)
_MAIN_TABLE, _UNICAST, _UNREACHABLE = 254, 1, 7


@dataclass(frozen=True, slots=True)
class PathRoute:
    """A route of the path's table; no interface: unreachable. `metric` orders routes to one destination."""

    destination: str
    interface: int | None
    gateway: str | None = None
    metric: int = 1


@dataclass(frozen=True, slots=True)
class PathRule:
    """Packets bound to an interface, from an address of its, or to a destination look in the path's table."""

    version: int
    interface: str | None = None
    destination: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class PathRoutes:
    """All routes and rules of one path."""

    table: int
    routes: frozenset[PathRoute]
    rules: frozenset[PathRule]


def plan_routes(
    slot: int,
    name: str,
    index: int,
    allowed: tuple[str, ...],
    addresses: tuple[str, ...],
    endpoint: Address,
    underlay: tuple[int, str | None],
) -> PathRoutes:
    """Return the routes of a path to `allowed` prefixes; `underlay` is the interface and next hop towards the relay.

    `addresses` are its own: what the kernel itself answers to a late packet of a connection that is gone has no
    socket that is bound, and would show this path on another.
    """
    out, gateway = underlay
    host = str(ipaddress.ip_network(endpoint))
    routes = {PathRoute(prefix, index) for prefix in allowed}
    routes |= {PathRoute(host, out, gateway), PathRoute(host, None, metric=2)}
    versions = {ipaddress.ip_network(prefix).version for prefix in allowed}
    rules = {PathRule(version, interface=name) for version in versions}
    rules.add(PathRule(endpoint.version, destination=host))
    for address in map(ipaddress.ip_network, addresses):
        rules.add(PathRule(address.version, source=str(address)))
    return PathRoutes(FIRST_TABLE + slot, frozenset(routes), frozenset(rules))


def apply_routes(ipr: Any, wanted: PathRoutes) -> None:
    """Make the path's table and rules exactly these; what is so already is not touched."""
    routes, rules = _read_routes(ipr, wanted.table), _read_rules(ipr, wanted.table)
    for route in routes - wanted.routes:
        _change_route(ipr, "del", wanted.table, route)
    for route in wanted.routes - routes:
        _change_route(ipr, "add", wanted.table, route)
    for rule in rules - wanted.rules:
        _change_rule(ipr, "del", wanted.table, rule)
    for rule in wanted.rules - rules:
        _change_rule(ipr, "add", wanted.table, rule)


def find_missing(ipr: Any, wanted: PathRoutes) -> int:
    """Return how many of the routes and rules are not there."""
    routes, rules = _read_routes(ipr, wanted.table), _read_rules(ipr, wanted.table)
    return len(wanted.routes - routes) + len(wanted.rules - rules)


def remove_routes(ipr: Any, slot: int) -> None:
    """Remove a path's rules and table."""
    apply_routes(ipr, PathRoutes(FIRST_TABLE + slot, frozenset(), frozenset()))


def find_gateway(ipr: Any, interface: int, destination: Address) -> str | None:
    """Return the next hop towards `destination` by an interface, None on the link; LookupError without a route.

    It is looked up in the main table by hand: the kernel, when asked, would answer with the path's own table.
    """
    best: tuple[int, int, str | None] | None = None
    for route in ipr.get_routes(family=address_family(destination.version), table=_MAIN_TABLE):
        if route["type"] != _UNICAST or route.get_attr("RTA_OIF") != interface:
            continue
        network = ipaddress.ip_network(
            f"{route.get_attr('RTA_DST') or ('::' if destination.version == 6 else '0.0.0.0')}/{route['dst_len']}"
        )
        if destination not in network:
            continue
        found = (-network.prefixlen, route.get_attr("RTA_PRIORITY") or 0, route.get_attr("RTA_GATEWAY"))
        if best is None or found[:2] < best[:2]:
            best = found
    if best is None:
        raise LookupError(f"no route to {destination} by interface {interface}")
    return best[2]


def _read_routes(ipr: Any, table: int) -> set[PathRoute]:
    found = set()
    for version in (4, 6):
        for route in ipr.get_routes(family=address_family(version), table=table):
            destination = f"{route.get_attr('RTA_DST')}/{route['dst_len']}"
            interface = None if route["type"] == _UNREACHABLE else route.get_attr("RTA_OIF")
            gateway, metric = route.get_attr("RTA_GATEWAY"), route.get_attr("RTA_PRIORITY") or 0
            found.add(PathRoute(destination, interface, gateway, metric))
    return found


def _change_route(ipr: Any, action: str, table: int, route: PathRoute) -> None:
    version = ipaddress.ip_network(route.destination).version
    way: dict[str, Any] = {"type": _UNREACHABLE} if route.interface is None else {"oif": route.interface}
    if route.gateway is not None:
        way["gateway"] = route.gateway
    ipr.route(
        action,
        family=address_family(version),
        dst=route.destination,
        table=table,
        priority=route.metric,
        **way,
    )


def _read_rules(ipr: Any, table: int) -> set[PathRule]:
    found = set()
    for version in (4, 6):
        for rule in ipr.get_rules(family=address_family(version)):
            if rule.get_attr("FRA_TABLE") == table:
                destination, source = rule.get_attr("FRA_DST"), rule.get_attr("FRA_SRC")
                found.add(
                    PathRule(
                        version,
                        rule.get_attr("FRA_OIFNAME"),
                        f"{destination}/{rule['dst_len']}" if destination else None,
                        f"{source}/{rule['src_len']}" if source else None,
                    )
                )
    return found


def _change_rule(ipr: Any, action: str, table: int, rule: PathRule) -> None:
    match: dict[str, Any] = {}
    if rule.interface is not None:
        match["oifname"] = rule.interface
    if rule.destination is not None:
        network = ipaddress.ip_network(rule.destination)
        match |= {"dst": str(network.network_address), "dst_len": network.prefixlen}
    if rule.source is not None:
        network = ipaddress.ip_network(rule.source)
        match |= {"src": str(network.network_address), "src_len": network.prefixlen}
    ipr.rule(action, family=address_family(rule.version), table=table, priority=PRIORITY, **match)


def interface_index(name: str) -> int:
    """Return an interface's index; LookupError where there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise LookupError(f"there is no interface {name}") from None
