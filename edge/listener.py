"""The edge's listeners: the service port, and its own locator where secondary subflows arrive."""

import asyncio
import logging
import socket

from edge.handshakes import Handshakes
from edge.node import Node
from edge.serve import HttpServer
from edge.settings import EdgeSettings
from smkex.core.config import ServerConfig
from smkex.core.locator import port_locator
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow

log = logging.getLogger("edge.listener")

BACKLOG = 1024
MPTCP = 262


class Listener:
    """Accept subflows and give each established session to the HTTP server."""

    def __init__(self, node: Node, settings: EdgeSettings, server: HttpServer) -> None:
        self._node = node
        self._settings = settings
        self._server = server
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._subflows: set[asyncio.Task[None]] = set()
        self._sessions: set[SessionTransport] = set()
        self.handshakes = Handshakes(
            ServerConfig(edge_id=node.edge_id),
            self._serve,
            limit=settings.max_pending_handshakes,
            timeout=settings.handshake_timeout,
            require_both=settings.require_both,
        )

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    async def start(self) -> None:
        """Listen on the VIP; raises OSError when a port is taken or the VIP is not on this host."""
        vip = self._node.vip
        for port in (vip.service_port, port_locator(self._node.edge_id, vip.id_port_base)):
            listening = _listen(vip.v4, port)
            self._sockets.append(listening)
            self._accepting.append(asyncio.create_task(self._accept(listening)))
            log.info("listening on %s port %d", vip.v4, port)

    async def stop(self) -> None:
        """Stop to accept, give up handshakes, and close what is open."""
        for task in [*self._accepting, *self._subflows]:
            task.cancel()
        await asyncio.gather(*self._accepting, *self._subflows, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        for session in list(self._sessions):
            session.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("accept: %s", error)
                await asyncio.sleep(0.1)  # out of descriptors: let some go before the next try
                continue
            if len(self._subflows) >= 2 * self._settings.max_pending_handshakes:
                connection.close()
                continue
            connection.setblocking(False)
            task = asyncio.create_task(self._handshake(connection))
            self._subflows.add(task)
            task.add_done_callback(self._subflows.discard)

    async def _handshake(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            loop = asyncio.get_running_loop()
            _, subflow = await loop.connect_accepted_socket(Subflow, connection)
        except OSError as error:
            log.info("a subflow was gone before its handshake: %s", error)
            connection.close()
            return
        await self.handshakes.run(subflow)

    def _serve(self, session: SessionTransport) -> None:
        if len(self._sessions) >= self._settings.max_sessions:
            session.abort()
            return
        self._sessions.add(session)
        session.on_closed = lambda: self._sessions.discard(session)
        session.start(self._server.protocol())


def _listen(address: str, port: int) -> socket.socket:
    """An MPTCP listener, which takes plain TCP as well; plain TCP where the kernel has no MPTCP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.socket(family, socket.SOCK_STREAM, MPTCP)
    except OSError:
        log.warning("this kernel has no MPTCP: transport tcp only")
        listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
