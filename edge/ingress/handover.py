"""Hand-over of subflows to the worker that owns their session, as open sockets (SCM_RIGHTS).

Each worker receives from one datagram socket; all workers hold the other ends. Nothing of a subflow has been read
before.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

log = logging.getLogger("edge.ingress.handover")

RECEIVE_BATCH = 64  # subflows received in one turn of the event loop


class Handover:
    """Channels to the other workers; `older` lead to the previous generation, which finishes its sessions."""

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

    def drop_older_generation(self) -> None:
        self._older = ()

    def start(self, on_received: Callable[[socket.socket], None]) -> None:
        """Call `on_received` with each subflow that another worker passes."""
        asyncio.get_running_loop().add_reader(self._inbox, self._receive, on_received)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._inbox)

    def pass_subflow(self, worker: int, connection: socket.socket, *, older: bool = False) -> bool:
        """Pass a subflow and close it here; False when that worker does not keep up."""
        to = self._older if older else self._peers
        try:
            socket.send_fds(to[worker], [b"s"], [connection.fileno()])
        except OSError as error:
            log.warning("worker %d does not accept subflows: %s", worker, error)
            return False
        connection.close()
        self.passed += 1
        return True

    def _receive(self, on_received: Callable[[socket.socket], None]) -> None:
        for _ in range(RECEIVE_BATCH):
            try:
                _, descriptors, _, _ = socket.recv_fds(self._inbox, 16, 1)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("receiving a handed-over subflow failed: %s", error)
                return
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                connection.setblocking(False)
                on_received(connection)
