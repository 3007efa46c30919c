"""The route of marked replies: to the egress program on `lo`, before any route or neighbour of this host is asked.

The host would ask for the neighbour of its own next hop before a program on that interface saw the packet: with a dead
uplink of its own, an edge would lose the subflows that came in elsewhere (measured).
"""

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.model.decision import MARK_MASK, MARK_TAG

LOOPBACK = "lo"
TABLE = PRIORITY = 24094
OUTER = 20  # bytes of the tunnel's header
EEXIST, ENOENT, ESRCH = 17, 2, 3


def route_replies(kernel: IPRoute, loopback: int, backbone_mtu: int) -> None:
    """Send what carries the forwarder's mark to `lo`. Raises NetlinkError."""
    metrics = {"mtu": backbone_mtu - OUTER}
    kernel.route("replace", dst="0.0.0.0/0", oif=loopback, table=TABLE, metrics=metrics)
    try:
        kernel.rule("add", fwmark=MARK_TAG, fwmask=MARK_MASK, table=TABLE, priority=PRIORITY)
    except NetlinkError as error:
        if error.code != EEXIST:
            raise


def unroute_replies(kernel: IPRoute, loopback: int) -> None:
    """Remove rule and route, if they are there."""
    for command, settings in (
        (kernel.rule, {"fwmark": MARK_TAG, "fwmask": MARK_MASK, "table": TABLE, "priority": PRIORITY}),
        (kernel.route, {"dst": "0.0.0.0/0", "oif": loopback, "table": TABLE}),
    ):
        try:
            command("del", **settings)
        except NetlinkError as error:
            if error.code not in (ENOENT, ESRCH):
                raise
