"""Take connections off a listening socket as they come: all that wait, up to a bound, in one turn of the event loop."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

log = logging.getLogger("edge.ingress.acceptor")

AT_ONCE = 64  # connections taken before others have their turn
PAUSE = 0.1  # seconds: out of descriptors, let some go before the next try

Take = Callable[[socket.socket, tuple[Any, ...]], None]


class Acceptor:
    """Calls `take` with each connection, which does not block, and the address of its other end, until stopped."""

    def __init__(self, listening: socket.socket, take: Take) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._take = take
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._start()

    def _start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def stop(self) -> None:
        """Accept no more; the listening socket stays open."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("accept: %s", error)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(PAUSE, self._start)
                return
            connection.setblocking(False)
            self._take(connection, address)
