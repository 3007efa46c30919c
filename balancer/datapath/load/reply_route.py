"""Route marked replies to an egress program, independent of the host's own routes and neighbours.

The kernel would resolve the host's own next hop before a program on that interface saw the packet: with its own uplink
down, an edge would lose the subflows that arrive at other edges (measured).

IPv4 is routed to `lo`. IPv6 has no such routes; it is routed to the backbone by a permanent neighbour entry of a
nonexistent address: the egress program redirects the packet before it is transmitted.
"""

from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.datapath.load.interfaces import V4, V6, AttachedLink
from node.mark import MARK_MASK, MARK_TAG

LOOPBACK = "lo"
TABLE = PRIORITY = 24094
PROTOCOL = 94  # marks Sennit's routes, rules and neighbour; in no list of iproute2 or FRR
PERMANENT = 0x80  # NUD_PERMANENT
FAMILIES = {4: V4, 6: V6}
DEFAULT_ROUTES = {4: "0.0.0.0/0", 6: "::/0"}
NOWHERE, NOWHERE_HARDWARE = "fe80::5e", "02:00:00:00:00:5e"
EEXIST, ENOENT, ESRCH, EAFNOSUPPORT = 17, 2, 3, 97


def route_replies(
    kernel: IPRoute, loopback: AttachedLink, backbone: AttachedLink, overhead: int, *, v6: bool
) -> None:
    """Route packets with the forwarder's mark to the egress programs. Raises NetlinkError."""
    mtu = backbone.mtu - overhead
    set_route(kernel, 4, loopback, mtu)
    add_rule(kernel, 4)
    if v6:
        if not backbone.raw:
            set_neighbour(kernel, backbone)
        set_route(kernel, 6, backbone, mtu)
        add_rule(kernel, 6)


def set_route(kernel: IPRoute, version: int, link: AttachedLink, mtu: int) -> None:
    """Route everything in the forwarder's table to a link: IPv4 to loopback, IPv6 to the backbone."""
    next_hop: dict[str, Any] = {"oif": link.index}
    if version == 6 and not link.raw:
        next_hop["gateway"] = NOWHERE
    kernel.route(
        "replace",
        dst=DEFAULT_ROUTES[version],
        family=FAMILIES[version],
        table=TABLE,
        proto=PROTOCOL,
        metrics={"mtu": mtu},
        **next_hop,
    )


def set_neighbour(kernel: IPRoute, backbone: AttachedLink) -> None:
    """Add the permanent neighbour entry of the IPv6 route."""
    kernel.neigh(
        "replace",
        dst=NOWHERE,
        lladdr=NOWHERE_HARDWARE,
        ifindex=backbone.index,
        family=V6,
        state="permanent",
        protocol=PROTOCOL,
    )


def has_neighbour(kernel: IPRoute, backbone: AttachedLink) -> bool:
    """Return whether the neighbour entry is as `set_neighbour` makes it."""
    return any(
        entry["state"] & PERMANENT and entry.get_attr("NDA_LLADDR") == NOWHERE_HARDWARE
        for entry in kernel.get_neighbours(family=V6, dst=NOWHERE, ifindex=backbone.index)
    )


def add_rule(kernel: IPRoute, version: int) -> None:
    """Add the rule that sends marked packets to the forwarder's table, if it is missing."""
    try:
        kernel.rule("add", protocol=PROTOCOL, **_rule_attributes(FAMILIES[version]))
    except NetlinkError as error:
        if error.code != EEXIST:
            raise


def has_rule(kernel: IPRoute, version: int) -> bool:
    """Return whether the rule exists."""
    wanted = {
        "FRA_TABLE": TABLE,
        "FRA_PRIORITY": PRIORITY,
        "FRA_FWMARK": MARK_TAG,
        "FRA_FWMASK": MARK_MASK,
    }
    return any(
        all(rule.get_attr(name) == value for name, value in wanted.items())
        for rule in kernel.get_rules(family=FAMILIES[version])
    )


def _rule_attributes(family: int) -> dict[str, Any]:
    return {
        "fwmark": MARK_TAG,
        "fwmask": MARK_MASK,
        "table": TABLE,
        "priority": PRIORITY,
        "family": family,
    }


def unroute_replies(kernel: IPRoute) -> None:
    """Remove the rules, routes and neighbour that exist."""
    for version, family in FAMILIES.items():
        _delete_if_present(kernel.rule, _rule_attributes(family))
        _delete_if_present(kernel.route, {"dst": DEFAULT_ROUTES[version], "table": TABLE, "family": family})
    for message in kernel.get_neighbours(family=V6, dst=NOWHERE):
        _delete_if_present(kernel.neigh, {"dst": NOWHERE, "ifindex": message["ifindex"], "family": V6})


def _delete_if_present(command: Any, settings: dict[str, Any]) -> None:
    try:
        command("del", **settings)
    except NetlinkError as error:
        if error.code not in (ENOENT, ESRCH, EAFNOSUPPORT):
            raise
