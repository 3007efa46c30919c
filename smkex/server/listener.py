"""Accept subflows within their limits, run their handshakes, and serve the sessions established."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from smkex.core.errors import Overloaded
from smkex.core.handshake.config import ServerConfig
from smkex.server.acceptor import Acceptor
from smkex.server.failures import FailureObserver, ignore_failure
from smkex.server.handshake.mptcp import MptcpHandshakes
from smkex.server.handshake.observation import IngressOfMark, SubflowObserver, ignore_mark
from smkex.server.handshake.path_manager.client import PathManagerClient
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.server.limits.admission import PrefixLimiter, refuse_overloaded
from smkex.server.limits.server_limits import ServerLimits
from smkex.server.session_registry import SessionRegistry
from smkex.transport.driver import SessionDriver
from smkex.transport.mptcp.info import IPPROTO_MPTCP
from smkex.transport.mptcp.listen import speaks_mptcp

log = logging.getLogger("smkex.server.listener")


class SessionListener:
    """Serves sessions on listening sockets; each session gets the protocol that `make_protocol` returns for it.

    `config` is called at each handshake. `locator_of` returns where secondary subflows to an address of this server
    arrive. Without a path manager it serves transport tcp only.
    """

    def __init__(
        self,
        config: Callable[[], ServerConfig],
        make_protocol: Callable[[SessionDriver], asyncio.Protocol],
        locator_of: Callable[[str], tuple[str, int]],
        limits: ServerLimits,
        *,
        require_both: bool = False,
        manager: PathManagerClient | None = None,
        ingress_of_mark: IngressOfMark = ignore_mark,
        observe_failure: FailureObserver = ignore_failure,
    ) -> None:
        self._observe_failure = observe_failure
        self._limits = limits
        self._in_handshake = PrefixLimiter(limits.handshakes_per_prefix)
        self._sockets: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []
        self._mptcp_tasks: set[asyncio.Task[None]] = set()
        self.failures: Counter[str] = Counter()
        self.registry = SessionRegistry(limits, make_protocol, self.failures, observe_failure)
        observer = SubflowObserver(ingress_of_mark)
        self.handshakes = TcpHandshakes(
            config,
            self.registry.serve_session,
            limit=limits.pending_handshakes,
            tls_limit=limits.pending_tls,
            timeout=limits.handshake_timeout,
            require_both=require_both,
            admit=self.registry.check_room,
            left=self._in_handshake.release,
            failures=self.failures,
            observe_failure=observe_failure,
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
                observe_failure=observe_failure,
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
        return not len(self.registry) and not self._in_progress

    async def stop(self) -> None:
        """Stop accepting, cancel handshakes, and close the sessions."""
        await self.stop_accepting()
        self.handshakes.stop()
        for task in self._mptcp_tasks:
            task.cancel()
        await asyncio.gather(*self._mptcp_tasks, return_exceptions=True)
        self.registry.close_sessions()

    @property
    def _in_progress(self) -> int:
        """Connections in their handshake."""
        return self.handshakes.subflows + len(self._mptcp_tasks)

    def _accept_subflow(
        self,
        connection: socket.socket,
        address: tuple[Any, ...],
        received: bytes = b"",
        *,
        handed_over: bool = False,
    ) -> None:
        """Take a connection within the limits; `received` was read of it by the process that has handed it over."""
        key = self._in_handshake.acquire(address[0])
        if key is None or self._in_progress >= 2 * self._limits.pending_handshakes:
            if key is not None:
                self._in_handshake.release(key)
            self._refuse_subflow(connection)
        elif connection.proto == IPPROTO_MPTCP and speaks_mptcp(connection):  # as its listening socket is
            self._start_mptcp(connection, address[0], key)
        else:
            self.handshakes.accept(connection, address, key=key, received=received, handed_over=handed_over)

    def _refuse_subflow(self, connection: socket.socket) -> None:
        self.failures["Overloaded"] += 1
        self._observe_failure(Overloaded(), None)
        refuse_overloaded(connection)

    def _start_mptcp(self, connection: socket.socket, address: str, key: int) -> None:
        task = asyncio.create_task(self._run_mptcp(connection, address))
        self._mptcp_tasks.add(task)

        def forget_connection(_: object) -> None:
            self._mptcp_tasks.discard(task)
            self._in_handshake.release(key)

        task.add_done_callback(forget_connection)

    async def _run_mptcp(self, connection: socket.socket, address: str) -> None:
        if self._mptcp is None:
            connection.close()
        elif self.registry.has_room(address):
            await self._mptcp.run(connection)
        else:
            self._refuse_subflow(connection)
