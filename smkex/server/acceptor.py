"""Accept connections: all that wait at a listening socket, up to a bound, in one turn of the event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from smkex.transport.event_loop import running_poller
from smkex.transport.flow import configure_connection
from smkex.transport.mptcp.info import IPPROTO_MPTCP, speaks_mptcp
from smkex.transport.poller import READABLE

log = logging.getLogger("smkex.server.acceptor")

ACCEPT_BATCH: Final = 64  # connections accepted in one turn of the event loop
RETRY_DELAY: Final = (
    0.1  # seconds until the next try after accept failed, for example without free descriptors
)
DEFER_ACCEPT: Final = (
    1  # seconds that a connection waits in the kernel for its first bytes, before it is accepted
)

OnAccepted = Callable[[socket.socket, tuple[Any, ...]], object]


class Acceptor:
    """Calls `on_accepted` with each non-blocking connection and its peer address, until stopped.

    What holds for every connection is set on the listening socket where connections inherit it.
    """

    def __init__(self, listening: socket.socket, on_accepted: OnAccepted) -> None:
        self._poller = running_poller()
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._number = listening.fileno()
        self._on_accepted = on_accepted
        self._accepting = False
        self._pause: asyncio.TimerHandle | None = None
        # what a listening socket of MPTCP hands down to plain TCP depends on the kernel
        self._inherited = listening.proto != IPPROTO_MPTCP
        self._family, self._type = listening.family, listening.type
        # a listening socket of MPTCP accepts plain TCP too: -1 asks the kernel for each
        self._protocol = listening.proto if self._inherited else -1
        listening.setblocking(False)
        if self._inherited:
            configure_connection(listening)
            with contextlib.suppress(OSError):  # a kernel without it wakes this process twice
                # not for MPTCP: a second subflow carries nothing at first, would wait, and would lose its mark
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT)
        self._start()

    def _start(self) -> None:
        self._pause = None
        self._accepting = True
        self._poller.add(self._number, self, READABLE)

    def _rest(self) -> None:
        if self._accepting:
            self._accepting = False
            self._poller.remove(self._number)

    def stop(self) -> None:
        """Stop accepting; the listening socket stays open."""
        if self._pause is not None:
            self._pause.cancel()
        self._rest()

    def on_event(self, mask: int, now: float) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                # what `accept` does, without looking up family and type for each connection
                descriptor, address = self._listening._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("accept: %s", error)
                self._rest()
                self._pause = self._loop.call_later(RETRY_DELAY, self._start)
                return
            connection = socket.socket(self._family, self._type, self._protocol, descriptor)
            connection.setblocking(False)
            # an option set on a connection of MPTCP would overwrite the mark of the subflows that join it
            if not self._inherited and not (connection.proto == IPPROTO_MPTCP and speaks_mptcp(connection)):
                configure_connection(connection)
            self._on_accepted(connection, address)

    def on_fault(self, error: Exception) -> None:
        """Go on with the next connection."""
