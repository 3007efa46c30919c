"""Accept connections: all that wait at a listening socket, up to a bound, in one turn of the event loop."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

log = logging.getLogger("smkex.server.acceptor")

ACCEPT_BATCH = 64  # connections accepted in one turn of the event loop
RETRY_DELAY = 0.1  # seconds until the next try after accept failed, for example without free descriptors

OnAccepted = Callable[[socket.socket, tuple[Any, ...]], None]


class Acceptor:
    """Calls `on_accepted` with each non-blocking connection and its peer address, until stopped."""

    def __init__(self, listening: socket.socket, on_accepted: OnAccepted) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._on_accepted = on_accepted
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._start()

    def _start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def stop(self) -> None:
        """Stop accepting; the listening socket stays open."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)

    def _accept(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("accept: %s", error)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(RETRY_DELAY, self._start)
                return
            connection.setblocking(False)
            self._on_accepted(connection, address)
