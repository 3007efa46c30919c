"""Hand-over of subflows to the worker that owns their session, as open sockets (SCM_RIGHTS).

Each worker receives from one datagram socket; all workers hold the other ends. With a subflow goes what was read of it
to find its owner.
"""

import logging
import socket
from collections.abc import Callable, Sequence

from edge.ingress.steering import HELLO_LIMIT
from smkex.core.wire.frame import HANDSHAKE_LIMIT
from smkex.transport.event_loop import running_poller
from smkex.transport.poller import READABLE

log = logging.getLogger("edge.ingress.handover")

RECEIVE_BATCH = 64  # subflows received in one turn of the event loop
READ_LIMIT = HELLO_LIMIT + HANDSHAKE_LIMIT  # bytes read of a subflow at most before its owner is known

OnReceived = Callable[[socket.socket, bytes], None]


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
        self._on_received: OnReceived | None = None
        inbox.setblocking(False)
        for peer in (*peers, *older):
            peer.setblocking(False)

    @property
    def has_older(self) -> bool:
        return bool(self._older)

    def drop_older_generation(self) -> None:
        self._older = ()

    def start(self, on_received: OnReceived) -> None:
        """Call `on_received` with each subflow that another worker passes, and what was read of it."""
        self._on_received = on_received
        running_poller().add(self._inbox.fileno(), self, READABLE)

    def stop(self) -> None:
        if self._on_received is not None:
            self._on_received = None
            running_poller().remove(self._inbox.fileno())

    def pass_subflow(
        self, worker: int, connection: socket.socket, received: bytes, *, older: bool = False
    ) -> bool:
        """Pass a subflow with what was read of it, and close it here; False when that worker does not keep up."""
        to = self._older if older else self._peers
        try:
            socket.send_fds(to[worker], [received], [connection.fileno()])
        except OSError as error:
            log.warning("worker %d does not accept subflows: %s", worker, error)
            return False
        connection.close()
        self.passed += 1
        return True

    def on_event(self, mask: int, now: float) -> None:
        for _ in range(RECEIVE_BATCH):
            on_received = self._on_received
            if on_received is None:
                return
            try:
                received, descriptors, _, _ = socket.recv_fds(self._inbox, READ_LIMIT, 1)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("receiving a handed-over subflow failed: %s", error)
                return
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                connection.setblocking(False)
                on_received(connection, received)

    def on_fault(self, error: Exception) -> None:
        """Go on with the next subflow."""
