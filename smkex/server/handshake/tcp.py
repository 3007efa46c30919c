"""Serve handshakes on TCP subflows: from an accepted connection to an established session, by callbacks.

Each subflow has its own deadline. A failure on path 0 or on the winning path 1 ends the session at both ends; a failure
on another candidate for path 1 ends that subflow only. TLS on path 0 (mode mtls) runs in a task.
"""

import asyncio
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

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
from smkex.core.wire.frame import HANDSHAKE_LIMIT, FrameType
from smkex.core.wire.messages import ClientNonce, encode_abort, parse_abort
from smkex.server.failures import FailureObserver, ignore_failure, read_server_name
from smkex.server.handshake.observation import SubflowObserver
from smkex.server.handshake.pending_sessions import PendingSessions
from smkex.server.handshake.steering import HERE, LATER, MORE, RETRY_DELAY, WorkerSteering
from smkex.server.handshake.subflow import (
    AWAIT_FINISHED,
    AWAIT_RESPONSE,
    AWAIT_SHARE,
    CONFIRMED,
    ENDED,
    FIRST_FRAME,
    STEERING,
    TLS,
    HandshakeSubflow,
    PendingSession,
)
from smkex.server.limits.admission import refuse_overloaded
from smkex.transport.driver import SessionDriver
from smkex.transport.event_loop import running_poller
from smkex.transport.flow import Flow
from smkex.transport.frame_channel import FrameChannel

log = logging.getLogger("smkex.server.handshake.tcp")


class TcpHandshakes:
    """Handshakes over transport `tcp`.

    `config` is called at each handshake; `serve` with each new session. `failures` counts failed handshakes by the
    name of their error.
    """

    def __init__(
        self,
        config: Callable[[], ServerConfig],
        serve: Callable[[SessionDriver], None],
        *,
        limit: int,
        tls_limit: int = 1024,
        timeout: float,
        require_both: bool,
        admit: Callable[[str], None] = lambda address: None,
        left: Callable[[int], None] = lambda key: None,
        failures: Counter[str] | None = None,
        observe_failure: FailureObserver = ignore_failure,
        observer: SubflowObserver | None = None,
    ) -> None:
        """`admit` is called with the address of each new client, and raises `Overloaded` when there is no room.

        `left` is called with the key of each subflow that is no longer in its handshake.
        """
        self._poller = running_poller()
        self._admit_client = admit
        self._left = left
        self._observer = observer or SubflowObserver()
        self._config = config
        self._serve = serve
        self._timeout = timeout
        self._require_both = require_both
        self._pending = PendingSessions(limit)
        self._tls_limit = tls_limit
        self._in_tls = 0
        self._subflows: set[HandshakeSubflow] = set()
        self._running: dict[bytes, SessionDriver] = {}
        self.steering: WorkerSteering | None = None
        self.failures: Counter[str] = Counter() if failures is None else failures
        self._observe_failure = observe_failure

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def subflows(self) -> int:
        """Subflows in their handshake."""
        return len(self._subflows)

    def has_session(self, session_id: bytes) -> bool:
        """Return whether a session with this id runs or is in its handshake here."""
        return session_id in self._running or session_id in self._pending

    def accept(
        self,
        connection: socket.socket,
        peer: Any,
        *,
        key: int = 0,
        received: bytes = b"",
        handed_over: bool = False,
    ) -> HandshakeSubflow:
        """Take one connection that does not block through its handshake; failures that a peer causes are not raised.

        `received` was read of it before, by the process that has handed it over.
        """
        subflow = HandshakeSubflow(self, Flow(connection, peer, self._poller), key, handed_over)
        self._subflows.add(subflow)
        now = time.monotonic()
        subflow.arrived, subflow.deadline = now, now + self._timeout
        if self.steering is not None:
            subflow.stage = STEERING
        assert subflow.timer is not None
        self._poller.arm(subflow.timer, subflow.deadline)
        subflow.flow.start(subflow)
        if received:
            self.receive(subflow, received, now)
        return subflow

    def stop(self) -> None:
        """End every handshake."""
        for subflow in list(self._subflows):
            self._expire(subflow)

    # --- events of a subflow

    def receive(self, subflow: HandshakeSubflow, data: bytes | memoryview, now: float) -> None:
        """Process what has arrived."""
        if subflow.stage == STEERING:
            subflow.received += data
            self._steer(subflow, now)
        else:
            subflow.reader.feed(data)
            self._advance(subflow)

    def lose(self, subflow: HandshakeSubflow) -> None:
        """The connection has ended."""
        if subflow.stage == AWAIT_FINISHED:
            self._fail(subflow, Truncated("the connection ended during the handshake"))
        self._leave(subflow)

    def expire(self, subflow: HandshakeSubflow, now: float) -> None:
        """Ask again where the subflow belongs, or end it: its time is over."""
        if subflow.stage == STEERING and now < subflow.deadline and subflow.timer is not None:
            self._poller.arm(subflow.timer, subflow.deadline)
            self._steer(subflow, now)
        else:
            self._expire(subflow)

    def _expire(self, subflow: HandshakeSubflow) -> None:
        error = DeadlineMissed()
        if subflow.stage == STEERING:
            subflow.flow.close()  # without an Abort: its first bytes have not come
            self._leave(subflow)
        elif subflow.stage == AWAIT_FINISHED:
            self._fail(subflow, error)
        else:
            self._refuse(subflow, error)

    # --- which process

    def _steer(self, subflow: HandshakeSubflow, now: float) -> None:
        steering = self.steering
        received = subflow.received
        decision = HERE
        if steering is not None:
            decision = steering.decide(received, now - subflow.arrived, subflow.handed_over)
        if decision == MORE:
            return
        if decision == LATER:
            subflow.flow.pause_reading()
            if subflow.timer is not None:
                self._poller.arm(subflow.timer, min(now + RETRY_DELAY, subflow.deadline))
            return
        if decision == HERE or steering is None:
            subflow.stage = FIRST_FRAME
            subflow.received = b""
            subflow.flow.resume_reading()
            subflow.reader.feed(received)
            self._advance(subflow)
            return
        connection = subflow.flow.release()
        self._leave(subflow)
        if not steering.pass_on(decision, connection, received):
            refuse_overloaded(connection)

    # --- from stage to stage

    def _advance(self, subflow: HandshakeSubflow) -> None:
        """Process every whole frame that the subflow's stage takes."""
        try:
            while subflow.stage in (FIRST_FRAME, AWAIT_FINISHED, AWAIT_RESPONSE) and self._take_frame(
                subflow
            ):
                pass
        except SmkexError as error:
            self._end_subflow(subflow, error)
        except OSError as broken:  # the connection was reset
            self._end_subflow(subflow, _connection_broken(broken))
        if subflow.stage != ENDED and subflow.reader.pending > HANDSHAKE_LIMIT:
            subflow.flow.pause_reading()

    def _end_subflow(self, subflow: HandshakeSubflow, error: SmkexError) -> None:
        if subflow.session is not None:
            self._fail(subflow, error)
        else:
            self._refuse(subflow, error)

    def _take_frame(self, subflow: HandshakeSubflow) -> bool:
        """Process the next whole frame; return whether there was one."""
        if subflow.stage == FIRST_FRAME and subflow.reader.first_byte == TLS_FIRST_BYTE:
            config = self._config()
            if config.tls is not None:
                self._start_tls(subflow, config)
                return False
        found = subflow.reader.next_frame()
        if found is None:
            return False
        kind, frame = found
        if subflow.stage == FIRST_FRAME:
            if kind is FrameType.CLIENT_SHARE:
                self._take_share(subflow, frame)
            elif kind is FrameType.CLIENT_NONCE:
                self._take_nonce(subflow, frame)
            elif kind is FrameType.JOIN:
                self._take_join(subflow, frame)
            else:
                raise UnexpectedMessage(f"a subflow began with {kind.name}")
        elif kind is FrameType.ABORT:
            raise parse_abort(frame)
        elif subflow.stage == AWAIT_FINISHED:
            if kind is not FrameType.FINISHED:
                raise UnexpectedMessage(f"{kind.name} came instead of FINISHED")
            self._take_finished(subflow, frame)
        else:
            if kind is not FrameType.JOIN_RESPONSE:
                raise UnexpectedMessage(f"{kind.name} came instead of JOIN_RESPONSE")
            self._take_response(subflow, frame)
        return True

    def _take_share(self, subflow: HandshakeSubflow, frame: bytes) -> None:
        self._check_room(subflow)
        config = self._config()
        seen = self._observe(subflow, config)
        try:
            handshake = ServerHandshake.answer_client_share(config, frame, seen, os.urandom(32))
        except SmkexError:
            subflow.server_name = read_server_name(frame)
            raise
        self._admit(handshake, subflow)
        subflow.flow.write(handshake.server_share)
        self._serve_waiting(handshake)

    def _check_room(self, subflow: HandshakeSubflow) -> None:
        """Refuse before anything is computed. Raises `Overloaded`."""
        if len(self._pending) >= self._pending.limit:
            raise Overloaded
        self._admit_client(subflow.flow.peer[0])

    def _observe(self, subflow: HandshakeSubflow, config: ServerConfig) -> Any:
        return self._observer.observe_subflow(subflow.flow.socket, subflow.flow.peer, config.edge_id)

    def _admit(self, handshake: ServerHandshake, subflow: HandshakeSubflow) -> None:
        if handshake.session_id in self._running:
            raise UnexpectedMessage("this session id is in use")
        session = PendingSession(handshake)
        self._pending.add(session)
        session.subflows[0] = subflow
        subflow.session = session
        subflow.stage = AWAIT_FINISHED

    def _serve_waiting(self, handshake: ServerHandshake) -> None:
        """Continue with the subflows whose ClientNonce came before this session's ClientShare."""
        for waiting in self._pending.take_waiting(handshake.session_id):
            waiting.stage = FIRST_FRAME
            waiting.flow.resume_reading()
            try:
                self._take_nonce(waiting, waiting.nonce)
            except SmkexError as error:
                self._end_subflow(waiting, error)
            else:
                self._advance(waiting)

    def _take_nonce(self, subflow: HandshakeSubflow, frame: bytes) -> None:
        session_id = ClientNonce.parse(frame).session_id
        session = self._pending.find(session_id)
        if session is None:
            self._pending.add_waiting(session_id, subflow)
            subflow.nonce = frame
            subflow.stage = AWAIT_SHARE
            return
        number = session.next_subflow
        session.next_subflow += 1
        seen = self._observe(subflow, self._config())
        answer = session.handshake.receive_nonce(number, frame, seen, os.urandom(32))
        session.subflows[number] = subflow
        subflow.session, subflow.number = session, number
        subflow.stage = AWAIT_FINISHED
        subflow.flow.write(answer)

    def _take_join(self, subflow: HandshakeSubflow, frame: bytes) -> None:
        join = Join.parse(frame)
        session = self._running.get(join.session_id)
        if session is None or not session.can_add_path(join.path):
            raise UnexpectedMessage("no such session on this edge, or its path number was used before")
        subflow.seen = self._observe(subflow, self._config())
        subflow.join = JoinAcceptor(session.find_join_keys(join.step), join, subflow.seen, os.urandom(32))
        subflow.joining, subflow.path, subflow.step = session, join.path, join.step
        subflow.stage = AWAIT_RESPONSE
        subflow.flow.write(subflow.join.challenge)

    def _take_response(self, subflow: HandshakeSubflow, frame: bytes) -> None:
        session, join, seen = subflow.joining, subflow.join, subflow.seen
        assert session is not None
        assert join is not None
        assert seen is not None
        join.verify(frame)
        self._leave(subflow)
        session.observed[subflow.path] = seen
        session.add_flow(subflow.path, subflow.flow, subflow.reader, join.hash, subflow.step)

    def _take_finished(self, subflow: HandshakeSubflow, frame: bytes) -> None:
        session = subflow.session
        assert session is not None
        session.handshake.receive_finished(subflow.number, frame)
        subflow.stage = CONFIRMED
        self._subflows.discard(subflow)
        self._release(subflow)
        self._confirm(session)

    def _confirm(self, session: PendingSession) -> None:
        """Begin the session after a verified Finished, or add its other path. Raises OSError where path 0 is gone."""
        handshake = session.handshake
        if session.ended or (self._require_both and len(handshake.confirmed) < 2):
            return
        if session.driver is None:
            session.driver = self._begin(session)
        for path in sorted(handshake.confirmed):
            subflow = session.subflows.pop(handshake.winner or 0 if path else 0, None)
            if subflow is not None:
                self._leave(subflow)
                session.driver.add_flow(path, subflow.flow, subflow.reader)
        if len(handshake.confirmed) == 2:
            self._end_session(session)

    def _begin(self, session: PendingSession) -> SessionDriver:
        handshake = session.handshake
        for number in [n for n in session.subflows if n not in (0, handshake.winner)]:
            session.subflows.pop(number).flow.close()
        first = session.subflows[0].flow.socket
        driver = SessionDriver(
            handshake.established,
            "server",
            {
                "peername": first.getpeername(),  # raises where it was reset
                "sockname": first.getsockname(),
                "transport": "tcp",
                "path_confirmed": handshake.confirmation.has_path_1,
            },
        )
        self._serve(driver)
        self._accept_joins(driver)
        return driver

    def _accept_joins(self, driver: SessionDriver) -> None:
        """Register the session for joins until it closes."""
        session_id, closed = driver.established.session_id, driver.on_closed
        if driver.is_closing():
            return
        self._running[session_id] = driver

        def on_closed() -> None:
            self._running.pop(session_id, None)
            closed()

        driver.on_closed = on_closed

    # --- TLS on path 0

    def _start_tls(self, subflow: HandshakeSubflow, config: ServerConfig) -> None:
        self._check_room(subflow)
        if self._in_tls >= self._tls_limit:
            raise Overloaded
        if config.draining:
            raise Draining
        self._in_tls += 1
        subflow.stage = TLS
        subflow.task = asyncio.create_task(self._serve_tls(subflow, config))

    async def _serve_tls(self, subflow: HandshakeSubflow, config: ServerConfig) -> None:
        """Run TLS until ServerInfo is sent, then continue as in every mode."""
        failure: SmkexError | None = None
        try:
            await self._run_tls(subflow, config)
        except SmkexError as error:
            failure = error
        except OSError as broken:
            failure = _connection_broken(broken)
        finally:
            subflow.task = None
            self._in_tls -= 1
        if failure is not None:
            self._refuse(subflow, failure)
            return
        subflow.flow.owner = subflow
        self._advance(subflow)
        if subflow.flow.lost:
            self.lose(subflow)

    async def _run_tls(self, subflow: HandshakeSubflow, config: ServerConfig) -> None:
        """Run the TLS handshake; OpenSSL's state, some 50 KB, is freed when this returns."""
        assert config.tls is not None
        channel = FrameChannel(subflow.flow, subflow.reader)
        tls = TlsServer(config.tls)
        while not tls.done:
            record = await channel.next_tls_record()
            try:
                tls.receive(record)
            finally:
                channel.send(tls.to_send())  # including OpenSSL's alert
        seen = self._observe(subflow, config)
        outcome = tls.finish(ServerInfo(config.edge_id, config.locator_towards(seen.client), seen))
        handshake = ServerHandshake.after_tls(config, outcome)
        self._admit(handshake, subflow)
        channel.send(tls.to_send())
        self._serve_waiting(handshake)

    # --- the end

    def _release(self, subflow: HandshakeSubflow) -> None:
        """Give back what the subflow holds while it is in its handshake."""
        if subflow.timer is None:
            return
        self._poller.disarm(subflow.timer)
        subflow.timer = None
        self._left(subflow.key)

    def _leave(self, subflow: HandshakeSubflow) -> None:
        """The subflow has become a path, or has ended."""
        if subflow.stage == AWAIT_SHARE:
            self._pending.remove_waiting(ClientNonce.parse(subflow.nonce).session_id, subflow)
        subflow.stage = ENDED
        self._subflows.discard(subflow)
        self._release(subflow)
        if subflow.task is not None:
            subflow.task.cancel()

    def _refuse(self, subflow: HandshakeSubflow, error: SmkexError) -> None:
        """End a subflow that belongs to no session yet."""
        if not subflow.flow.closing:
            joining = subflow.joining
            self._count_failure(
                error, joining.established.server_name if joining is not None else subflow.server_name
            )
            log.info("handshake refused: %s: %s", type(error).__name__, error)
            self._abort(subflow, error)
        self._leave(subflow)

    def _fail(self, subflow: HandshakeSubflow, error: SmkexError) -> None:
        """End a subflow of a handshake, and the session unless only this candidate is concerned."""
        session = subflow.session
        assert session is not None
        self._leave(subflow)
        number = subflow.number
        present = session.subflows.pop(number, None)
        if session.ended:
            subflow.flow.close()
            return
        self._count_failure(error, session.handshake.server_name)
        log.info("handshake failed on subflow %d: %s: %s", number, type(error).__name__, error)
        if present is not None:
            self._abort(subflow, error)
        if session.handshake.is_candidate_only(number):
            session.handshake.drop_candidate(number)
            return
        unproven = isinstance(error, PeerAborted | Truncated | DeadlineMissed)
        if session.driver is not None and unproven:
            # keys are established: ignore unauthenticated Aborts and timeouts
            self._end_session(session)
            return
        if session.driver is not None:
            session.driver.fail(error)
        for other in list(session.subflows.values()):
            self._leave(other)
            self._abort(other, error)
        session.handshake.drop()
        self._end_session(session)

    def _end_session(self, session: PendingSession) -> None:
        session.ended = True
        session.subflows.clear()
        self._pending.remove(session)

    def _count_failure(self, error: SmkexError, server_name: str | None) -> None:
        self.failures[type(error).__name__] += 1
        self._observe_failure(error, server_name)

    def _abort(self, subflow: HandshakeSubflow, error: SmkexError) -> None:
        """Send Abort in clear, and close."""
        subflow.flow.write(encode_abort(error.code, error.detail))
        subflow.flow.close()


def _connection_broken(error: OSError) -> Truncated:
    return Truncated(f"the connection broke during the handshake: {error.strerror}")
