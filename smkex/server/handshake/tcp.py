"""Serve handshakes on TCP subflows: from an accepted connection to an established session.

Each subflow has its own task and deadline. A failure on path 0 or on the winning path 1 ends the session at both
ends; a failure on another candidate for path 1 ends that subflow only.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable

from smkex.core.errors import (
    DeadlineMissed,
    Draining,
    Overloaded,
    PeerAborted,
    SmkexError,
    Truncated,
    UnexpectedMessage,
)
from smkex.core.handshake.config import ServerConfig
from smkex.core.handshake.join import Join, JoinAcceptor
from smkex.core.handshake.server import ServerHandshake
from smkex.core.handshake.server_info import ServerInfo
from smkex.core.handshake.tls import FIRST_BYTE as TLS_FIRST_BYTE
from smkex.core.handshake.tls import TlsServer
from smkex.core.wire.frame import FrameType
from smkex.core.wire.messages import ClientNonce, parse_abort
from smkex.server.handshake.observation import SubflowObserver
from smkex.server.handshake.pending_sessions import PendingSession, PendingSessions
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow

log = logging.getLogger("smkex.server.handshake.tcp")


class TcpHandshakes:
    """Handshakes over transport `tcp`.

    `config` is called at each handshake; `serve` with each new session. `failures` counts failed handshakes by the
    name of their error.
    """

    def __init__(
        self,
        config: Callable[[], ServerConfig],
        serve: Callable[[SessionTransport], None],
        *,
        limit: int,
        tls_limit: int = 1024,
        timeout: float,
        require_both: bool,
        admit: Callable[[str], None] = lambda address: None,
        failures: Counter[str] | None = None,
        observer: SubflowObserver | None = None,
    ) -> None:
        """`admit` is called with the address of each new client, and raises `Overloaded` when there is no room."""
        self._admit_client = admit
        self._observer = observer or SubflowObserver()
        self._config = config
        self._serve = serve
        self._timeout = timeout
        self._require_both = require_both
        self._pending = PendingSessions(limit)
        self._tls_limit = tls_limit
        self._in_tls = 0
        self._running: dict[bytes, SessionTransport] = {}
        self.failures: Counter[str] = Counter() if failures is None else failures

    def __len__(self) -> int:
        return len(self._pending)

    def has_session(self, session_id: bytes) -> bool:
        """Return whether a session with this id runs or is in its handshake here."""
        return session_id in self._running or session_id in self._pending

    async def run(self, subflow: Subflow) -> None:
        """Take one accepted subflow through its handshake; failures that a peer causes are not raised."""
        try:
            async with asyncio.timeout(self._timeout):
                if await subflow.first_byte() == TLS_FIRST_BYTE and self._config().tls is not None:
                    await self._serve_tls_first(subflow)
                    return
                kind, frame = await subflow.next_frame()
                if kind is FrameType.CLIENT_SHARE:
                    await self._serve_first(subflow, frame)
                elif kind is FrameType.CLIENT_NONCE:
                    await self._serve_secondary(subflow, frame)
                elif kind is FrameType.JOIN:
                    await self._serve_join(subflow, frame)
                else:
                    raise UnexpectedMessage(f"a subflow began with {kind.name}")
        except TimeoutError:
            self._refuse(subflow, DeadlineMissed())
        except SmkexError as error:
            self._refuse(subflow, error)
        except OSError as error:  # the connection was reset before anything was read
            self._refuse(subflow, _connection_broken(error))

    def _refuse(self, subflow: Subflow, error: SmkexError) -> None:
        if subflow.transport.is_closing():
            return  # its session has reported the error
        self.failures[type(error).__name__] += 1
        log.info("handshake refused: %s: %s", type(error).__name__, error)
        subflow.abort(error)

    async def _serve_first(self, subflow: Subflow, frame: bytes) -> None:
        self._check_room(subflow)
        config = self._config()
        seen = self._observer.observe_subflow(subflow.socket, config.edge_id)
        handshake = ServerHandshake.answer_client_share(config, frame, seen, os.urandom(32))
        session = self._admit(handshake, subflow)
        subflow.send(handshake.server_share)
        await self._await_finished(session, 0)

    async def _serve_tls_first(self, subflow: Subflow) -> None:
        """Serve path 0 of mode mtls: TLS until ServerInfo is sent, then Finished as in every mode."""
        self._check_room(subflow)
        await self._await_finished(await self._run_tls(subflow), 0)

    async def _run_tls(self, subflow: Subflow) -> PendingSession:
        """Run the TLS handshake; OpenSSL's state, some 50 KB, is freed when this returns."""
        if self._in_tls >= self._tls_limit:
            raise Overloaded
        config = self._config()
        if config.draining:
            raise Draining
        assert config.tls is not None
        self._in_tls += 1
        try:
            tls = TlsServer(config.tls)
            while not tls.done:
                record = await subflow.next_tls_record()
                try:
                    tls.receive(record)
                finally:
                    subflow.send(tls.to_send())  # including OpenSSL's alert
        finally:
            self._in_tls -= 1
        seen = self._observer.observe_subflow(subflow.socket, config.edge_id)
        outcome = tls.finish(ServerInfo(config.edge_id, config.locator, seen))
        session = self._admit(ServerHandshake.after_tls(config, outcome), subflow)
        subflow.send(tls.to_send())
        return session

    def _check_room(self, subflow: Subflow) -> None:
        """Refuse before anything is computed. Raises `Overloaded`."""
        address = subflow.transport.get_extra_info("peername")
        if len(self._pending) >= self._pending.limit:
            raise Overloaded
        self._admit_client(address[0] if address else "0.0.0.0")

    def _admit(self, handshake: ServerHandshake, subflow: Subflow) -> PendingSession:
        if handshake.session_id in self._running:
            raise UnexpectedMessage("this session id is in use")
        session = PendingSession(handshake, {0: subflow})
        self._pending.add(session)
        return session

    async def _serve_secondary(self, subflow: Subflow, frame: bytes) -> None:
        session = await self._pending.find(ClientNonce.parse(frame).session_id)
        number = session.next_subflow
        session.next_subflow += 1
        seen = self._observer.observe_subflow(subflow.socket, self._config().edge_id)
        answer = session.handshake.receive_nonce(number, frame, seen, os.urandom(32))
        session.subflows[number] = subflow
        subflow.send(answer)
        await self._await_finished(session, number)

    async def _serve_join(self, subflow: Subflow, frame: bytes) -> None:
        join = Join.parse(frame)
        session = self._running.get(join.session_id)
        if session is None or not session.can_add_path(join.path):
            raise UnexpectedMessage("no such session on this edge, or its path number was used before")
        seen = self._observer.observe_subflow(subflow.socket, self._config().edge_id)
        acceptor = JoinAcceptor(session.established.keys, join, seen, os.urandom(32))
        subflow.send(acceptor.challenge)
        kind, frame = await subflow.next_frame()
        if kind is FrameType.ABORT:
            raise PeerAborted(parse_abort(frame), authenticated=False)
        if kind is not FrameType.JOIN_RESPONSE:
            raise UnexpectedMessage(f"{kind.name} came instead of JOIN_RESPONSE")
        acceptor.verify(frame)
        session.observed[join.path] = seen
        session.add_subflow(join.path, subflow, acceptor.hash)

    async def _await_finished(self, session: PendingSession, number: int) -> None:
        try:
            kind, frame = await session.subflows[number].next_frame()
            if kind is FrameType.ABORT:
                raise PeerAborted(parse_abort(frame), authenticated=False)
            if kind is not FrameType.FINISHED:
                raise UnexpectedMessage(f"{kind.name} came instead of FINISHED")
            session.handshake.receive_finished(number, frame)
        except TimeoutError:
            self._fail(session, number, DeadlineMissed())
        except asyncio.CancelledError:
            # the deadline of `run`, or the edge stops
            self._fail(session, number, DeadlineMissed())
            raise
        except SmkexError as error:
            self._fail(session, number, error)
        else:
            try:
                self._advance(session)
            except OSError as error:  # path 0 was reset after it was confirmed
                self._fail(session, number, _connection_broken(error))

    def _advance(self, session: PendingSession) -> None:
        """Begin the session after a verified Finished, or add its other path."""
        handshake = session.handshake
        if session.ended or (self._require_both and len(handshake.confirmed) < 2):
            return
        if session.transport is None:
            session.transport = self._begin(session)
        numbers = {0: 0, 1: handshake.winner}
        for path in sorted(handshake.confirmed):
            subflow = session.subflows.pop(numbers[path] or 0, None)
            if subflow is not None:
                session.transport.add_subflow(path, subflow)
        if len(handshake.confirmed) == 2:
            self._end(session)

    def _begin(self, session: PendingSession) -> SessionTransport:
        handshake = session.handshake
        for number in [n for n in session.subflows if n not in (0, handshake.winner)]:
            session.subflows.pop(number).transport.close()
        first = session.subflows[0].socket
        transport = SessionTransport(
            handshake.established,
            "server",
            {
                "peername": first.getpeername(),
                "sockname": first.getsockname(),
                "transport": "tcp",
                "path_confirmed": lambda: handshake.path_confirmed,
            },
        )
        self._serve(transport)
        self._accept_joins(transport)
        return transport

    def _accept_joins(self, transport: SessionTransport) -> None:
        """Register the session for joins until it closes."""
        session_id, closed = transport.established.session_id, transport.on_closed
        if transport.is_closing():
            return
        self._running[session_id] = transport

        def on_closed() -> None:
            self._running.pop(session_id, None)
            closed()

        transport.on_closed = on_closed

    def _fail(self, session: PendingSession, number: int, error: SmkexError) -> None:
        subflow = session.subflows.pop(number, None)
        if session.ended:
            return
        self.failures[type(error).__name__] += 1
        log.info("handshake failed on subflow %d: %s: %s", number, type(error).__name__, error)
        if subflow is not None:
            subflow.abort(error)
        if session.handshake.is_candidate_only(number):
            session.handshake.drop_candidate(number)
            return
        unproven = isinstance(error, PeerAborted | Truncated | DeadlineMissed)
        if session.transport is not None and unproven:
            # keys are established: ignore unauthenticated Aborts and timeouts
            self._end(session)
            return
        if session.transport is not None:
            session.transport.fail(error)
        for other in session.subflows.values():
            other.abort(error)
        session.handshake.drop()
        self._end(session)

    def _end(self, session: PendingSession) -> None:
        session.ended = True
        session.subflows.clear()
        self._pending.remove(session)


def _connection_broken(error: OSError) -> Truncated:
    return Truncated(f"the connection broke during the handshake: {error.strerror}")
