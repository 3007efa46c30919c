"""Subflows that arrived at another worker than their session's are passed over, as open sockets (SCM_RIGHTS).

Each worker has one datagram socket that it takes from; all hold the other ends. Nothing of a subflow has been read by
then.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

log = logging.getLogger("edge.ingress.handover")

BATCH = 64  # subflows taken at once


class Handover:
    """This worker's way to the others; `older` leads to those of the generation before, which finish their sessions."""

    def __init__(
        self,
        index: int,
        secret: bytes,
        inbox: socket.socket,
        peers: Sequence[socket.socket],
        older: Sequence[socket.socket] = (),
    ) -> None:
        self.index = index
        self.secret = secret
        self.workers = len(peers)
        self._inbox = inbox
        self._peers = peers
        self._older = older
        self.passed = 0
        inbox.setblocking(False)
        for peer in (*peers, *older):
            peer.setblocking(False)

    @property
    def has_older(self) -> bool:
        return bool(self._older)

    def forget_older(self) -> None:
        self._older = ()

    def start(self, take: Callable[[socket.socket], None]) -> None:
        """Call `take` with each subflow that the others pass over."""
        asyncio.get_running_loop().add_reader(self._inbox, self._take, take)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._inbox)

    def give(self, worker: int, connection: socket.socket, *, older: bool = False) -> bool:
        """Pass a subflow over and close it here; False when that worker does not keep up."""
        to = self._older if older else self._peers
        try:
            socket.send_fds(to[worker], [b"s"], [connection.fileno()])
        except OSError as error:
            log.warning("worker %d takes no subflows: %s", worker, error)
            return False
        connection.close()
        self.passed += 1
        return True

    def _take(self, take: Callable[[socket.socket], None]) -> None:
        for _ in range(BATCH):
            try:
                _, descriptors, _, _ = socket.recv_fds(self._inbox, 16, 1)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("hand-over: %s", error)
                return
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                connection.setblocking(False)
                take(connection)
