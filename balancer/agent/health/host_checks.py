"""What a host needs for an edge to serve: the VIP on an interface, and the forwarder's programs attached."""

import errno
import logging
import socket
import time
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.datapath.load.attach import INGRESS, OURS, filter_names
from balancer.datapath.load.install import ForwarderInstall, NotInstalled
from node.state.host_state import read_host_state

log = logging.getLogger(__name__)


def find_missing_vip(addresses: tuple[str, ...]) -> str | None:
    """Return which address of the VIP this host lacks. A bind finds out without privilege."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return f"vip: {address} is on no interface of this host"
            log.warning("VIP check failed", extra={"why": str(error)})
    return None


class ForwarderCheck:
    """Whether the forwarder's programs are attached, of a node where they were since this agent's start."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._was_loaded = False

    def find_fault(self) -> str | None:
        """Return where its ingress program is missing; None before it was ever loaded."""
        try:
            install = ForwarderInstall.read(self._state)
        except NotInstalled:
            return "forwarder: is detached" if self._was_loaded else None
        self._was_loaded = True
        return _find_detached(install) or self._find_host_deviation()

    def _find_host_deviation(self) -> str | None:
        """Return the first hard deviation of the host that the forwarder's daemon could not repair."""
        host = read_host_state(self._state)
        found = host.hard_deviation(time.monotonic()) if host else None
        return f"forwarder: {found}" if found else None


def _find_detached(install: ForwarderInstall) -> str | None:
    try:
        with IPRoute() as kernel:
            for name in install.interfaces:
                if missing := _find_missing_program(kernel, name):
                    return missing
    except (NetlinkError, OSError) as error:
        log.warning("forwarder check failed", extra={"why": str(error)})
    return None


def _find_missing_program(kernel: IPRoute, name: str) -> str | None:
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return f"forwarder: there is no interface {name}"
    if not any(each.startswith(OURS) for each in filter_names(kernel, index, INGRESS)):
        return f"forwarder: nothing is attached to {name}"
    return None
