"""Query the XDP features of an interface's driver (netlink family `netdev`, Linux 6.3)."""

from pyroute2.netlink import genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

BASIC, REDIRECT, SENDS = 1, 2, 4  # enum netdev_xdp_act; SENDS: NETDEV_XDP_ACT_NDO_XMIT
RECEIVES = BASIC | REDIRECT
_DEV_GET, _REQUEST = 1, 1


class _Device(genlmsg):  # type: ignore[misc]
    prefix = "NETDEV_A_DEV_"
    nla_map = (
        ("NETDEV_A_DEV_UNSPEC", "none"),
        ("NETDEV_A_DEV_IFINDEX", "uint32"),
        ("NETDEV_A_DEV_PAD", "none"),
        ("NETDEV_A_DEV_XDP_FEATURES", "uint64"),
    )


def can_transmit(index: int) -> bool:
    """Whether the kernel reports that the driver transmits what XDP redirects to it, now."""
    return bool((features_of(index) or 0) & SENDS)


def features_of(index: int) -> int | None:
    """Return the feature flags; None if the kernel does not report them."""
    with GenericNetlinkSocket() as socket:
        try:
            socket.bind("netdev", _Device)
            message = _Device()
            message["cmd"], message["version"] = _DEV_GET, 1
            message["attrs"] = [("NETDEV_A_DEV_IFINDEX", index)]
            answer, *_ = socket.nlm_request(message, msg_type=socket.prid, msg_flags=_REQUEST)
            return int(answer.get_attr("NETDEV_A_DEV_XDP_FEATURES"))
        except (NetlinkError, TypeError, ValueError):  # no such family; nothing answered; no such attribute
            return None
