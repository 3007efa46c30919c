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
NOWHERE, NOWHERE_HARDWARE = "fe80::5e", "02:00:00:00:00:5e"
EEXIST, ENOENT, ESRCH, EAFNOSUPPORT = 17, 2, 3, 97


def route_replies(
    kernel: IPRoute, loopback: AttachedLink, backbone: AttachedLink, overhead: int, *, v6: bool
) -> None:
    """Route packets with the forwarder's mark to the egress programs. Raises NetlinkError."""
    metrics = {"mtu": backbone.mtu - overhead}
    kernel.route("replace", dst="0.0.0.0/0", oif=loopback.index, table=TABLE, metrics=metrics)
    _add_rule(kernel, V4)
    if v6:
        next_hop: dict[str, Any] = {"oif": backbone.index}
        if not backbone.raw:
            kernel.neigh(
                "replace",
                dst=NOWHERE,
                lladdr=NOWHERE_HARDWARE,
                ifindex=backbone.index,
                family=V6,
                state="permanent",
            )
            next_hop["gateway"] = NOWHERE
        kernel.route("replace", dst="::/0", family=V6, table=TABLE, metrics=metrics, **next_hop)
        _add_rule(kernel, V6)


def _add_rule(kernel: IPRoute, family: int) -> None:
    try:
        kernel.rule("add", **_rule_attributes(family))
    except NetlinkError as error:
        if error.code != EEXIST:
            raise


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
    for family, everywhere in ((V4, "0.0.0.0/0"), (V6, "::/0")):
        _delete_if_present(kernel.rule, _rule_attributes(family))
        _delete_if_present(kernel.route, {"dst": everywhere, "table": TABLE, "family": family})
    for message in kernel.get_neighbours(family=V6, dst=NOWHERE):
        _delete_if_present(kernel.neigh, {"dst": NOWHERE, "ifindex": message["ifindex"], "family": V6})


def _delete_if_present(command: Any, settings: dict[str, Any]) -> None:
    try:
        command("del", **settings)
    except NetlinkError as error:
        if error.code not in (ENOENT, ESRCH, EAFNOSUPPORT):
            raise
