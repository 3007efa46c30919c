"""Accept subflows at the service port and at the locator, and serve the sessions that they establish."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edge.config.identity import Identity
from edge.config.settings import EdgeSettings
from edge.handshake.mptcp import MptcpHandshakes
from edge.handshake.path_manager.client import PathManagerClient
from edge.handshake.tcp import TcpHandshakes
from edge.ingress import fast_open
from edge.ingress.acceptor import Acceptor
from edge.ingress.handover import Handover
from edge.ingress.listening_sockets import listen_on_vip
from edge.ingress.session_registry import SessionRegistry
from edge.ingress.subflow_steering import SubflowSteering
from edge.limits.admission import PrefixLimiter, refuse_overloaded
from node.state.catalogue import FAST_OPEN_KEYS
from node.state.identity import NodeIdentity
from smkex.core.handshake.config import ServerConfig
from smkex.http.server.http_server import HttpServer
from smkex.transport.mptcp.listen import speaks_mptcp
from smkex.transport.subflow import Subflow

log = logging.getLogger("edge.ingress.listener")


class Listener:
    """Accepts subflows, within their limits, and runs the handshake of each in a task.

    Without a path manager it serves transport tcp only; without a hand-over there are no other workers.
    """

    def __init__(
        self,
        node: NodeIdentity,
        identity: Identity,
        settings: EdgeSettings,
        server: HttpServer,
        manager: PathManagerClient | None,
        handover: Handover | None = None,
    ) -> None:
        self._node = node
        self._identity = identity
        self._settings = settings
        self._handover = handover
        self._in_handshake = PrefixLimiter(settings.max_handshakes_per_prefix)
        self._sockets: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []
        self._key_followers: list[asyncio.Task[None]] = []
        self._subflows: set[asyncio.Task[None]] = set()
        self.draining = False
        self.failures: Counter[str] = Counter()
        self.registry = SessionRegistry(settings, server.create_protocol, self.failures)
        self.handshakes = TcpHandshakes(
            self._server_config,
            self.registry.serve_session,
            limit=settings.max_pending_handshakes,
            tls_limit=settings.max_pending_tls,
            timeout=settings.handshake_timeout,
            require_both=settings.require_both,
            admit=self.registry.check_room,
            failures=self.failures,
        )
        self._mptcp: MptcpHandshakes | None = None
        if manager is not None:
            self._mptcp = MptcpHandshakes(
                self._server_config,
                node.locator_of(node.service_v4),
                manager,
                self.registry.serve_session,
                timeout=settings.handshake_timeout,
                failures=self.failures,
            )
        self._steering: SubflowSteering | None = None
        if handover is not None:
            has_session = self.handshakes.has_session
            self._steering = SubflowSteering(handover, has_session, settings.handshake_timeout)

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Accept on these, or listen on the VIP; raises OSError as `listen_on_vip`."""
        for listening in sockets or listen_on_vip(self._node):
            self._sockets.append(listening)
            self._acceptors.append(Acceptor(listening, self._accept_subflow))
        self.registry.service_addresses = {listening.getsockname()[:2] for listening in self._sockets[::2]}
        if self._handover is not None:
            self._handover.start(self._accept_handed_over)
        keys = self._settings.fast_open_keys or FAST_OPEN_KEYS.path_in(self._settings.state)
        for locator in self._sockets[1::2]:
            self._key_followers.append(asyncio.create_task(fast_open.follow_key_file(locator, keys)))

    async def stop_accepting(self) -> None:
        """Leave the listening sockets to the other workers; what has begun goes on."""
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.stop()
        followers, self._key_followers = self._key_followers, []
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a session nor a handshake."""
        return not len(self.registry) and not self._subflows

    async def stop(self) -> None:
        """Stop accepting, cancel handshakes, and close the sessions."""
        await self.stop_accepting()
        if self._handover is not None:
            self._handover.stop()
        for task in self._subflows:
            task.cancel()
        await asyncio.gather(*self._subflows, return_exceptions=True)
        self.registry.close_sessions()

    def ask_to_rehome(self) -> None:
        self.registry.ask_to_rehome()

    def close_sessions(self) -> None:
        self.registry.close_sessions()

    def _server_config(self) -> ServerConfig:
        config = self._identity.config()
        return replace(config, draining=True) if self.draining else config

    def _accept_handed_over(self, connection: socket.socket) -> None:
        """Accept a subflow from another worker, which no longer counts it."""
        try:
            address = connection.getpeername()
        except OSError as error:
            log.info("a subflow ended before its hand-over: %s", error)
            connection.close()
            return
        self._accept_subflow(connection, address, handed_over=True)

    def _accept_subflow(
        self, connection: socket.socket, address: tuple[Any, ...], *, handed_over: bool = False
    ) -> None:
        key = self._in_handshake.acquire(address[0])
        if key is None or len(self._subflows) >= 2 * self._settings.max_pending_handshakes:
            if key is not None:
                self._in_handshake.release(key)
            self._refuse_subflow(connection)
            return
        task = asyncio.create_task(self._run_handshake(connection, address, handed_over=handed_over))
        self._subflows.add(task)

        def forget_subflow(_: object) -> None:
            self._subflows.discard(task)
            self._in_handshake.release(key)

        task.add_done_callback(forget_subflow)

    def _refuse_subflow(self, connection: socket.socket) -> None:
        self.failures["Overloaded"] += 1
        refuse_overloaded(connection)

    async def _run_handshake(
        self, connection: socket.socket, address: tuple[Any, ...], *, handed_over: bool
    ) -> None:
        if speaks_mptcp(connection):
            await self._run_mptcp(connection, address[0])
            return
        if self._steering is not None and await self._steering.steer_subflow(
            connection, handed_over=handed_over
        ):
            return
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            subflow = Subflow.from_socket(connection, address)
        except OSError as error:
            log.info("a subflow ended before its handshake: %s", error)
            connection.close()
            return
        await self.handshakes.run(subflow)

    async def _run_mptcp(self, connection: socket.socket, address: str) -> None:
        if self._mptcp is None:
            connection.close()
        elif self.registry.has_room(address):
            await self._mptcp.run(connection)
        else:
            self._refuse_subflow(connection)
