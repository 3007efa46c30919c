"""The edge's listeners: the service port, and its own locator where secondary subflows arrive."""

import asyncio
import logging
import socket
from dataclasses import replace

from edge import fast_open
from edge.handshakes import Handshakes
from edge.identity import Identity
from edge.mptcp_handshakes import MptcpHandshakes
from edge.node import Node
from edge.path_manager import PathManagerClient
from edge.serve import HttpServer
from edge.settings import EdgeSettings
from smkex.core.config import ServerConfig
from smkex.core.locator import port_locator
from smkex.transport.mptcp_listen import mptcp_listener, speaks_mptcp
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow

log = logging.getLogger("edge.listener")

BACKLOG = 1024


class Listener:
    """Accept subflows and give each established session to the HTTP server."""

    def __init__(
        self,
        node: Node,
        identity: Identity,
        settings: EdgeSettings,
        server: HttpServer,
        manager: PathManagerClient | None,
    ) -> None:
        """Without a path manager there is transport tcp only."""
        self._node = node
        self._settings = settings
        self._server = server
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._subflows: set[asyncio.Task[None]] = set()
        self._sessions: set[SessionTransport] = set()
        self._identity = identity
        self.draining = False
        self._locator_port = port_locator(node.edge_id, node.vip.id_port_base)
        self.handshakes = Handshakes(
            self._config,
            self._serve,
            limit=settings.max_pending_handshakes,
            tls_limit=settings.max_pending_tls,
            timeout=settings.handshake_timeout,
            require_both=settings.require_both,
        )
        self._mptcp: MptcpHandshakes | None = None
        if manager is not None:
            self._mptcp = MptcpHandshakes(
                self._config,
                node.vip.v4,
                self._locator_port,
                manager,
                self._serve,
                timeout=settings.handshake_timeout,
                failures=self.handshakes.failures,
            )

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    async def start(self) -> None:
        """Listen on the VIP; raises OSError when a port is taken or the VIP is not on this host."""
        vip = self._node.vip
        for port in (vip.service_port, self._locator_port):
            listening = mptcp_listener(vip.v4, port, backlog=BACKLOG)
            self._sockets.append(listening)
            self._accepting.append(asyncio.create_task(self._accept(listening)))
            log.info("listening on %s port %d", vip.v4, port)
        if self._settings.fast_open_keys is not None:
            locator, keys = self._sockets[-1], self._settings.fast_open_keys
            self._accepting.append(asyncio.create_task(fast_open.follow(locator, keys)))

    async def stop(self) -> None:
        """Stop to accept, give up handshakes, and close what is open."""
        for task in [*self._accepting, *self._subflows]:
            task.cancel()
        await asyncio.gather(*self._accepting, *self._subflows, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        self.close_sessions()

    def ask_to_rehome(self) -> None:
        """Ask every client to leave the service port, so that routes to it may change."""
        for session in list(self._sessions):
            session.ask_to_rehome()

    def close_sessions(self) -> None:
        """End every session, as the edge's end does."""
        for session in list(self._sessions):
            session.close()

    def _config(self) -> ServerConfig:
        return replace(self._identity.config(), draining=self.draining)

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
        if speaks_mptcp(connection):
            if self._mptcp is None:
                connection.close()
            else:
                await self._mptcp.run(connection)
            return
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
