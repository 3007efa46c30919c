"""The edge's listeners: the service port, and its own locator where secondary subflows arrive."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edge.config.identity import Identity
from edge.config.settings import EdgeSettings
from edge.handshake.mptcp import MptcpHandshakes
from edge.handshake.path_manager import PathManagerClient
from edge.handshake.tcp import TcpHandshakes
from edge.http.server import HttpServer
from edge.ingress import fast_open
from edge.ingress.acceptor import Acceptor
from edge.ingress.handover import Handover
from edge.ingress.steering import Claim, owner_of, peek_claim
from edge.limits.admission import PrefixLimiter, refuse_overloaded
from edge.limits.memory import MemoryBound, default_limit
from node.state.catalogue import FAST_OPEN_KEYS
from node.state.identity import NodeIdentity
from smkex.core.errors import Overloaded
from smkex.core.handshake.config import ServerConfig
from smkex.core.wire.frame import FrameType
from smkex.transport.mptcp.listen import mptcp_listener, speaks_mptcp, tcp_listener
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow

log = logging.getLogger("edge.ingress.listener")

BACKLOG = 1024
SHARE_GRACE = 0.3  # seconds that a ClientShare may come after its nonce while two generations of workers run


class Listener:
    """Accept subflows and give each established session to the HTTP server."""

    def __init__(
        self,
        node: NodeIdentity,
        identity: Identity,
        settings: EdgeSettings,
        server: HttpServer,
        manager: PathManagerClient | None,
        handover: Handover | None = None,
    ) -> None:
        """Without a path manager there is transport tcp only; without a hand-over there are no other workers."""
        self._handover = handover
        self._in_handshake = PrefixLimiter(settings.max_handshakes_per_prefix)
        self._in_session = PrefixLimiter(settings.max_sessions_per_prefix)
        self._memory = MemoryBound(settings.max_memory_bytes or default_limit(settings.workers))
        self._node = node
        self._settings = settings
        self._server = server
        self._sockets: list[socket.socket] = []
        self._accepting: list[Acceptor] = []
        self._following: list[asyncio.Task[None]] = []
        self._subflows: set[asyncio.Task[None]] = set()
        self._sessions: set[SessionTransport] = set()
        self._service: set[tuple[str, int]] = set()  # host and port, by IPv4 and by IPv6
        self._began_at_service: set[SessionTransport] = set()  # of the sessions, those that can move
        self._identity = identity
        self.draining = False
        self.handshakes = TcpHandshakes(
            self._config,
            self._serve,
            limit=settings.max_pending_handshakes,
            tls_limit=settings.max_pending_tls,
            timeout=settings.handshake_timeout,
            require_both=settings.require_both,
            admit=self._admit,
        )
        self._mptcp: MptcpHandshakes | None = None
        if manager is not None:
            self._mptcp = MptcpHandshakes(
                self._config,
                node.locator_of(node.service_v4),
                manager,
                self._serve,
                timeout=settings.handshake_timeout,
                failures=self.handshakes.failures,
            )

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    @property
    def sessions_at_service_port(self) -> int:
        """Those that a change of the routes to the service address may cost a path, unless that is dead anyway."""
        return sum(session.lives(0) for session in self._began_at_service)

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Accept on these, or listen on the VIP; raises OSError as `listen_on_vip`."""
        for listening in sockets or listen_on_vip(self._node):
            self._sockets.append(listening)
            self._accepting.append(Acceptor(listening, self._accepted))
        self._service = {listening.getsockname()[:2] for listening in self._sockets[::2]}
        if self._handover is not None:
            self._handover.start(self._handed_over)
        keys = self._settings.fast_open_keys or FAST_OPEN_KEYS.path_in(self._settings.state)
        for locator in self._sockets[1::2]:
            self._following.append(asyncio.create_task(fast_open.follow_key_file(locator, keys)))

    async def stop_accepting(self) -> None:
        """Leave the listening sockets to others; what has begun goes on."""
        accepting, self._accepting = self._accepting, []
        for acceptor in accepting:
            acceptor.stop()
        following, self._following = self._following, []
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    @property
    def is_idle(self) -> bool:
        return not self._sessions and not self._subflows

    async def stop(self) -> None:
        """Stop to accept, give up handshakes, and close what is open."""
        await self.stop_accepting()
        if self._handover is not None:
            self._handover.stop()
        for task in self._subflows:
            task.cancel()
        await asyncio.gather(*self._subflows, return_exceptions=True)
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
        config = self._identity.config()
        return replace(config, draining=True) if self.draining else config

    def _handed_over(self, connection: socket.socket) -> None:
        """Take a subflow from another worker, which has just ceased to count it."""
        try:
            address = connection.getpeername()
        except OSError as error:
            log.info("a subflow was gone before its hand-over: %s", error)
            connection.close()
            return
        self._accepted(connection, address, fresh=False)

    def _accepted(self, connection: socket.socket, address: tuple[Any, ...], *, fresh: bool = True) -> None:
        key = self._in_handshake.acquire(address[0])
        if key is None or len(self._subflows) >= 2 * self._settings.max_pending_handshakes:
            if key is not None:
                self._in_handshake.release(key)
            self.handshakes.failures["Overloaded"] += 1
            refuse_overloaded(connection)
            return
        task = asyncio.create_task(self._handshake(connection, address, fresh=fresh))
        self._subflows.add(task)

        def done(_: object) -> None:
            self._subflows.discard(task)
            self._in_handshake.release(key)

        task.add_done_callback(done)

    async def _handshake(self, connection: socket.socket, address: tuple[Any, ...], *, fresh: bool) -> None:
        """`fresh`: not from another worker, to which it could be given."""
        if speaks_mptcp(connection):
            if self._mptcp is None:
                connection.close()
            elif self._has_room(address[0]):
                await self._mptcp.run(connection)
            else:
                self.handshakes.failures["Overloaded"] += 1
                refuse_overloaded(connection)
            return
        if self._handover is not None and await self._passed_over(self._handover, connection, fresh=fresh):
            return
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            subflow = Subflow.over(connection, address)
        except OSError as error:
            log.info("a subflow was gone before its handshake: %s", error)
            connection.close()
            return
        await self.handshakes.run(subflow)

    async def _passed_over(self, handover: Handover, connection: socket.socket, *, fresh: bool) -> bool:
        """Give the subflow to the worker whose session it is of, unless that is this one."""
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                claim = await peek_claim(connection)
                if claim is None:
                    return False
                owner = owner_of(claim.session_id, handover.secret, handover.workers)
                older = owner == handover.index and await self._is_of_older(handover, claim)
        except (OSError, TimeoutError):
            connection.close()
            return True
        except asyncio.CancelledError:
            connection.close()
            raise
        if not older and (owner == handover.index or not fresh):
            return False
        if not handover.pass_subflow(owner, connection, older=older):
            refuse_overloaded(connection)
        return True

    async def _is_of_older(self, handover: Handover, claim: Claim) -> bool:
        """Whether it joins what the generation before has begun; a share may be a moment behind its nonce."""
        if not handover.has_older or claim.kind not in (FrameType.CLIENT_NONCE, FrameType.JOIN):
            return False
        until = asyncio.get_running_loop().time() + (
            SHARE_GRACE if claim.kind is FrameType.CLIENT_NONCE else 0
        )
        while not self.handshakes.has_session(claim.session_id):
            if asyncio.get_running_loop().time() >= until:
                return True
            await asyncio.sleep(0.02)
        return False

    def _admit(self, address: str) -> None:
        """Refuse early, before keys are made, what `_serve` would have to, and what there is no memory for."""
        if not self._has_room(address):
            raise Overloaded

    def _has_room(self, address: str) -> bool:
        if self._memory.is_full or len(self._sessions) >= self._settings.max_sessions:
            return False
        return not self._in_session.is_full(address)

    def _serve(self, session: SessionTransport) -> None:
        key = self._in_session.acquire(session.get_extra_info("peername")[0])
        if key is None or len(self._sessions) >= self._settings.max_sessions:
            if key is not None:
                self._in_session.release(key)
            self.handshakes.failures["Overloaded"] += 1
            session.fail(Overloaded())
            return
        self._sessions.add(session)
        # over MPTCP the kernel minds the paths: no session can be asked to move them
        if (
            session.get_extra_info("transport") == "tcp"
            and session.get_extra_info("sockname")[:2] in self._service
        ):
            self._began_at_service.add(session)

        def closed() -> None:
            self._sessions.discard(session)
            self._began_at_service.discard(session)
            self._in_session.release(key)

        session.on_closed = closed
        session.start(self._server.create_protocol())


def listen_on_vip(node: NodeIdentity) -> list[socket.socket]:
    """The service port and the locator, by IPv4 and then, without MPTCP, by IPv6.

    Raises OSError when a port is taken, or the VIP or an address locator is not on this host.
    """
    vip = node.vip
    made = []
    for address in (vip.v4, vip.v6):
        if address is None:
            continue
        listen = mptcp_listener if address == vip.v4 else tcp_listener
        for host, port in ((address, vip.service_port), node.locator_of(address)):
            made.append(listen(host, port, backlog=BACKLOG))
            log.info("listening on %s port %d", host, port)
    return made
