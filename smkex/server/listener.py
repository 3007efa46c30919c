"""Accept subflows within their limits, run the handshake of each in a task, and serve the sessions established."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from smkex.core.handshake.config import ServerConfig
from smkex.server.acceptor import Acceptor
from smkex.server.handshake.mptcp import MptcpHandshakes
from smkex.server.handshake.observation import IngressOfMark, SubflowObserver, ignore_mark
from smkex.server.handshake.path_manager.client import PathManagerClient
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.server.limits.admission import PrefixLimiter, refuse_overloaded
from smkex.server.limits.server_limits import ServerLimits
from smkex.server.session_registry import SessionRegistry
from smkex.transport.mptcp.listen import speaks_mptcp
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow

log = logging.getLogger("smkex.server.listener")


class SessionListener:
    """Serves sessions on listening sockets; each session gets the protocol that `make_protocol` returns for it.

    `config` is called at each handshake. `locator_of` returns where secondary subflows to an address of this server
    arrive. Without a path manager it serves transport tcp only.
    """

    def __init__(
        self,
        config: Callable[[], ServerConfig],
        make_protocol: Callable[[SessionTransport], asyncio.Protocol],
        locator_of: Callable[[str], tuple[str, int]],
        limits: ServerLimits,
        *,
        require_both: bool = False,
        manager: PathManagerClient | None = None,
        ingress_of_mark: IngressOfMark = ignore_mark,
    ) -> None:
        self._limits = limits
        self._in_handshake = PrefixLimiter(limits.handshakes_per_prefix)
        self._sockets: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []
        self._subflows: set[asyncio.Task[None]] = set()
        self.failures: Counter[str] = Counter()
        self.registry = SessionRegistry(limits, make_protocol, self.failures)
        observer = SubflowObserver(ingress_of_mark)
        self.handshakes = TcpHandshakes(
            config,
            self.registry.serve_session,
            limit=limits.pending_handshakes,
            tls_limit=limits.pending_tls,
            timeout=limits.handshake_timeout,
            require_both=require_both,
            admit=self.registry.check_room,
            failures=self.failures,
            observer=observer,
        )
        self._mptcp: MptcpHandshakes | None = None
        if manager is not None:
            self._mptcp = MptcpHandshakes(
                config,
                locator_of,
                manager,
                self.registry.serve_session,
                timeout=limits.handshake_timeout,
                failures=self.failures,
                observer=observer,
            )

    def start_accepting(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these sockets, which the listener closes when it stops."""
        for listening in sockets:
            self._sockets.append(listening)
            self._acceptors.append(Acceptor(listening, self._accept_subflow))

    async def stop_accepting(self) -> None:
        """Close the listening sockets here; what has begun goes on."""
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.stop()
        for listening in self._sockets:
            listening.close()

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a session nor a handshake."""
        return not len(self.registry) and not self._subflows

    async def stop(self) -> None:
        """Stop accepting, cancel handshakes, and close the sessions."""
        await self.stop_accepting()
        for task in self._subflows:
            task.cancel()
        await asyncio.gather(*self._subflows, return_exceptions=True)
        self.registry.close_sessions()

    async def _steer_subflow(self, connection: socket.socket, *, handed_over: bool) -> bool:
        """Hand a subflow to another process, True where that was done; here there is none."""
        return False

    def _accept_subflow(
        self, connection: socket.socket, address: tuple[Any, ...], *, handed_over: bool = False
    ) -> None:
        key = self._in_handshake.acquire(address[0])
        if key is None or len(self._subflows) >= 2 * self._limits.pending_handshakes:
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
        if await self._steer_subflow(connection, handed_over=handed_over):
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
