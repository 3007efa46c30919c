"""Compare the wanted state of the host with the kernel's, repair what this process may, and report the rest."""

import logging
import time
from collections import Counter
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from balancer.datapath.host.events import NetlinkEvents
from balancer.datapath.host.items import HostItem
from balancer.datapath.host.wanted import wanted_items
from balancer.datapath.load.attach import ForeignProgram
from balancer.datapath.load.install import ForwarderInstall, NotInstalled
from balancer.datapath.load.lock import HostBusy, lock_host
from balancer.datapath.maps.pins import NotLoaded
from node.state.host_state import HostState, ItemState, write_host_state

log = logging.getLogger("forwarder")

CHECK_INTERVAL = 3.0  # seconds; sysctls send no notification
EVENT_INTERVAL = 0.5  # seconds at least between checks that notifications cause
ERRORS = (OSError, NetlinkError, ForeignProgram, NotLoaded)


class HostReconciler:
    """Keeps the host as the forwarder needs it."""

    def __init__(self, state: Path, bpffs: Path) -> None:
        self._state, self._bpffs = state, bpffs
        self._events = NetlinkEvents()
        self._changed = True
        self._checked_at = float("-inf")
        self._deviations: dict[str, str] = {}
        self.repairs: Counter[str] = Counter()
        self.items: tuple[ItemState, ...] = ()

    def check_if_due(self, overhead: int) -> None:
        """Check after notifications, and every `CHECK_INTERVAL`; skip while `load` or `detach` runs."""
        self._changed |= self._events.have_arrived()
        now = time.monotonic()
        if now - self._checked_at < (EVENT_INTERVAL if self._changed else CHECK_INTERVAL):
            return
        self._checked_at, self._changed = now, False
        try:
            with lock_host(self._state):
                self.items = self._reconcile(ForwarderInstall.read(self._state), overhead)
            write_host_state(self._state, HostState(now, self.items))
        except (HostBusy, NotInstalled):
            return
        except ERRORS as error:
            log.warning("host check failed: %s", error)

    def _reconcile(self, install: ForwarderInstall, overhead: int) -> tuple[ItemState, ...]:
        with IPRoute() as kernel:
            items = wanted_items(kernel, self._bpffs, install, overhead)
            states = tuple(
                ItemState(item.name, item.hard, self._reconcile_item(kernel, item)) for item in items
            )
        self._events.have_arrived()  # notifications of the repairs
        return states

    def _reconcile_item(self, kernel: IPRoute, item: HostItem) -> str | None:
        """Return the deviation that remains."""
        found = inspect_item(kernel, item)
        if found is None:
            self._deviations.pop(item.name, None)
            return None
        failure = ""
        try:
            item.repair(kernel)
        except ERRORS as error:
            failure = f" (repair failed: {error})"
        remaining = inspect_item(kernel, item)
        if remaining is None:
            self.repairs[item.name] += 1
            log.warning("repaired %s: %s", item.name, found)
            self._deviations.pop(item.name, None)
            return None
        remaining += failure
        if self._deviations.get(item.name) != remaining:
            log.error("%s: %s", item.name, remaining)
        self._deviations[item.name] = remaining
        return remaining


def inspect_item(kernel: IPRoute, item: HostItem) -> str | None:
    """Return how an item deviates; what cannot be read deviates too."""
    try:
        return item.find_deviation(kernel)
    except ERRORS as error:
        return f"cannot be read: {error}"


def inspect_host(bpffs: Path, install: ForwarderInstall, overhead: int) -> list[ItemState]:
    """Return the state of every wanted item, without repairs."""
    with IPRoute() as kernel:
        items = wanted_items(kernel, bpffs, install, overhead)
        return [ItemState(item.name, item.hard, inspect_item(kernel, item)) for item in items]
