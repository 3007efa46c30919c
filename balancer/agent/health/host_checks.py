"""What this host must have for an edge to serve: the VIP on an interface, and the forwarder's programs attached."""

import errno
import logging
import socket
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.datapath.load.attach import INGRESS, OURS, filter_names
from balancer.datapath.load.install import ForwarderInstall, NotInstalled

log = logging.getLogger(__name__)


def vip_missing(addresses: tuple[str, ...]) -> str | None:
    """Say which address of the VIP this host does not have. Binding to it is how one finds out without privilege."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return f"vip: {address} is on no interface of this host"
            log.warning("the VIP cannot be looked for", extra={"why": str(error)})
    return None


class ForwarderCheck:
    """Whether the forwarder's programs are attached, of a node where they were since this agent's start."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._was_loaded = False

    def look(self) -> str | None:
        """Say where its ingress program is missing; None before it was ever loaded."""
        try:
            install = ForwarderInstall.read(self._state)
        except NotInstalled:
            return "forwarder: is detached" if self._was_loaded else None
        self._was_loaded = True
        return _detached(install)


def _detached(install: ForwarderInstall) -> str | None:
    try:
        with IPRoute() as kernel:
            for name in install.interfaces:
                if missing := _missing(kernel, name):
                    return missing
    except (NetlinkError, OSError) as error:
        log.warning("the forwarder's programs cannot be looked for", extra={"why": str(error)})
    return None


def _missing(kernel: IPRoute, name: str) -> str | None:
    index = kernel.link_lookup(ifname=name)
    if not index:
        return f"forwarder: there is no interface {name}"
    if not any(each.startswith(OURS) for each in filter_names(kernel, index[0], INGRESS)):
        return f"forwarder: nothing is attached to {name}"
    return None
