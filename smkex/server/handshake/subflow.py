"""One accepted connection in its handshake: how far it has come, and what it holds."""

import asyncio
from typing import Final, Protocol

from smkex.core.handshake.join import JoinAcceptor
from smkex.core.handshake.server import ServerHandshake
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Observation
from smkex.transport.driver import SessionDriver
from smkex.transport.flow import Flow
from smkex.transport.poller import Timer

# stages of a subflow
STEERING: Final = 0  # its first bytes name no process yet
FIRST_FRAME: Final = 1
TLS: Final = 2  # path 0 of mode mtls, in a task of its own
AWAIT_SHARE: Final = 3  # a ClientNonce whose ClientShare has not come
AWAIT_FINISHED: Final = 4
AWAIT_RESPONSE: Final = 5  # to the challenge of a join
CONFIRMED: Final = 6  # its Finished verified; the session waits for the other path's
ENDED: Final = 7


class SubflowMachine(Protocol):
    """What takes subflows from stage to stage."""

    def receive(self, subflow: "HandshakeSubflow", data: bytes | memoryview, now: float) -> None: ...
    def lose(self, subflow: "HandshakeSubflow") -> None: ...
    def expire(self, subflow: "HandshakeSubflow", now: float) -> None: ...


class PendingSession:
    """One handshake and its subflows: 0 carried the ClientShare, each other one a ClientNonce."""

    def __init__(self, handshake: ServerHandshake) -> None:
        self.handshake = handshake
        self.subflows: dict[int, HandshakeSubflow] = {}
        self.driver: SessionDriver | None = None
        self.next_subflow = 1
        self.ended = False


class HandshakeSubflow:
    """The owner of an accepted flow until it becomes a path, or ends."""

    def __init__(self, machine: SubflowMachine, flow: Flow, key: int, handed_over: bool) -> None:
        """`key` is its place in the bounds of its prefix."""
        self.machine = machine
        self.flow = flow
        self.key = key
        self.handed_over = handed_over
        self.reader = FrameReader()
        self.stage: int = FIRST_FRAME
        self.timer: Timer | None = Timer(self._on_timer)
        self.arrived = 0.0
        self.deadline = 0.0
        self.received = b""  # while it is steered
        self.session: PendingSession | None = None
        self.number = 0  # within `session`
        self.nonce = b""  # frame that waits for its session
        self.task: asyncio.Task[None] | None = None
        self.join: JoinAcceptor | None = None
        self.joining: SessionDriver | None = None
        self.path = -1  # that it joins as
        self.server_name: str | None = None  # of a share that was read and refused
        self.step = 0  # key step that its join names
        self.seen: Observation | None = None

    def _on_timer(self, now: float) -> None:
        self.machine.expire(self, now)

    def flow_received(self, flow: Flow, data: bytes | memoryview, now: float) -> None:
        self.machine.receive(self, data, now)

    def flow_writable(self, flow: Flow) -> None:
        """A handshake does not wait for room."""

    def flow_lost(self, flow: Flow, error: Exception | None) -> None:
        self.machine.lose(self)
