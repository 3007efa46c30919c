"""Notification of changed links, addresses or routes (groups of rtnetlink(7)): a network may be back."""

import asyncio
import logging
from collections.abc import Callable

from smkex.transport.routes.netlink import NetlinkSocket

log = logging.getLogger(__name__)

SETTLE_DELAY = 0.2  # seconds after the first of several changes: an interface comes up in steps
_NETLINK_ROUTE = 0
_LINK, _IPV4_ADDRESS, _IPV4_ROUTE, _IPV6_ADDRESS, _IPV6_ROUTE = 1, 5, 7, 9, 11


class NetworkChanges:
    """Calls `call` a moment after something changed, until `close`. Where netlink is forbidden it never does."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._kernel: NetlinkSocket | None = None
        try:
            self._kernel = NetlinkSocket(_NETLINK_ROUTE)
            for group in (_LINK, _IPV4_ADDRESS, _IPV4_ROUTE, _IPV6_ADDRESS, _IPV6_ROUTE):
                self._kernel.join_group(group)
        except OSError as error:
            log.info("network changes are not monitored: %s", error)
            self.close()
            return
        self._loop.add_reader(self._kernel.fileno(), self._readable)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._kernel is not None:
            self._loop.remove_reader(self._kernel.fileno())
            self._kernel.close()
            self._kernel = None

    def _readable(self) -> None:
        assert self._kernel is not None
        while self._kernel.receive_waiting():
            pass
        if self._timer is None:
            self._timer = self._loop.call_later(SETTLE_DELAY, self._settled)

    def _settled(self) -> None:
        self._timer = None
        self._call()
