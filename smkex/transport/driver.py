"""Drive an established session: from what its flows read to its protocol, and from what is written to its flows.

A `SessionDriver` has the methods of an asyncio transport, for any asyncio protocol, and none of its classes: mypyc
compiles it with the core.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, cast

from smkex.core.errors import Cancelled, SmkexError, StepChanged
from smkex.core.events import (
    DataReceived,
    PathDropped,
    RehomeRequested,
    SessionEvent,
    SessionFailed,
    StepCompleted,
    StreamEnded,
)
from smkex.core.handshake.established import Established
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.key_steps import StepSettings
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.session import Session
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Observation
from smkex.transport.event_loop import running_poller
from smkex.transport.flow import Flow
from smkex.transport.poller import Timer

CLOSE_TIMEOUT = 5.0  # seconds without progress that a closing session waits for the other end to agree
HIGH_WATER: Final = 1 << 20  # unsealed bytes at which the application is asked to pause
LOW_WATER: Final = 256 << 10
# bytes of received pieces that wait as one: an object for each tiny one would exceed the window
JOIN_LIMIT: Final = 16 << 10
ACTIVE_ON_ONE: Final = "active on one path"
PASSIVE: Final = "passive"
LINGER_TIMEOUT: Final = 5.0  # seconds the last bytes of a session may take to leave a subflow


@dataclass(frozen=True, slots=True)
class PathStatistics:
    """Round-trip time of a path in seconds (None when it is closed), and bytes of frames that it carried.

    `state` is "stalled" or "closed" where the transport knows it better than the session.
    """

    rtt: float | None
    sent: int
    received: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class StepReport:
    """Key steps of a session: their number, seconds since the last, and whom it threw out who knew the state before.

    `against` is "active on one path" or "passive"; None, like `since`, before the first step.
    """

    count: int
    since: float | None
    against: str | None

    def text(self) -> str:
        """One line for people."""
        if self.since is None:
            return "none yet"
        return f"{self.count}, the last {self.since:.0f} s ago: healed against who was {self.against}"


NO_STEP: Final = StepReport(0, None, None)


class HeldBytesAccount:
    """What a budget of held bytes has of one session."""

    def report(self, held: int, progress: int, now: float) -> int:
        """Account for `held` bytes whenever they may have changed; return the limit of the session's windows."""
        raise NotImplementedError


class SessionDriver:
    """One end of a session. `add_flow` takes in each of its flows.

    `get_extra_info` knows "smkex" (the `Established` value), "peername", "sockname" and "path_confirmed".
    """

    def __init__(
        self,
        established: Established,
        role: str,
        extra: dict[str, Any],
        scheduler: Scheduler = Scheduler.LOWEST_LATENCY,
    ) -> None:
        self._extra: dict[str, Any] = {**extra, "smkex": established}
        self.established = established
        self.observed: dict[int, Observation] = dict(enumerate(established.observed))
        self.error: SmkexError | None = None
        self.dropped: list[PathDropped] = []
        self.breaks_off = (
            False  # a server that stops breaks it off: its end would be taken for the stream's own
        )
        self.on_closed: Callable[[], None] = lambda: None
        self.on_path_dropped: Callable[[PathDropped], None] = lambda event: None
        self.on_rehome_asked: Callable[[], None] = lambda: None
        self.held_bytes_account: HeldBytesAccount | None = None
        self.on_step_completed: Callable[[StepCompleted], None] = lambda event: None
        self.statistics_from: Callable[[int], PathStatistics] | None = None  # where a transport knows better
        self._loop = asyncio.get_running_loop()
        self._session = Session(
            established.keys, role, scheduler=scheduler, steps=StepSettings(established.group)
        )
        self._poller = running_poller()
        self._flows: list[Flow] = []  # one of each open path
        self._protocol: asyncio.Protocol | None = None
        self._early: list[bytes | bytearray] = []
        self._peer_ended = False
        self._reading_paused = False
        self._writing_paused = False
        self._high_limit: int = HIGH_WATER
        self._closing = False
        self._lost = False
        self._handling = False
        self._timer: Timer | None = Timer(self._on_timer)
        self._close_timer: asyncio.TimerHandle | None = None

    # --- subflows

    def add_flow(self, path: int, flow: Flow, reader: FrameReader, join: bytes = b"", step: int = 0) -> None:
        """Add a flow as `path`, after its handshake or the join of hash `join`, with what `reader` still holds.

        `step` is the key step that the join named: a flow that comes after the next one is closed.
        """
        if not self._session.can_add_path(path) or step not in self._session.join_steps:
            flow.abort()
            return
        self._flows.append(flow)
        rtt = flow.become_path(self, path)
        now = time.monotonic()
        ingress = self.observed[path].ingress_id
        self._handle(self._session.add_path(path, reader, rtt, now, join, ingress=ingress, step=step), now)
        if flow.lost:
            self._handle(self._session.path_lost(path), now)

    def remove_path(self, path: int) -> None:
        """Remove `path` at both ends. Raises `ValueError` for the last path and for an unknown one."""
        self._handle(self._session.remove_path(path), time.monotonic())

    def set_backup(self, path: int, backup: bool) -> None:
        """Use `path` only while no other works, at both ends."""
        self._session.set_backup(path, backup)
        self._send_pending(time.monotonic())

    def ask_to_rehome(self) -> None:
        """Ask the client to leave the service port, as an edge does that drains."""
        self._session.ask_to_rehome()
        self._send_pending(time.monotonic())

    @property
    def join_steps(self) -> tuple[int, ...]:
        """The key steps that a join may name, the present one first."""
        return self._session.join_steps

    def find_join_keys(self, step: int) -> KeySchedule:
        """Return the keys for a join that names `step`; raises `StepChanged` where it is not a present one."""
        keys = self._session.find_join_keys(step)
        if keys is None:
            raise StepChanged
        return keys

    def schedule_steps(self, age: float, volume: int) -> None:
        """Make a key step each `age` seconds, and each `volume` bytes of both streams."""
        self._session.schedule_steps(age, volume)

    def request_step(self) -> None:
        """Make a key step as soon as possible; an edge asks the client to begin it."""
        now = time.monotonic()
        self._handle(self._session.request_step(now), now)

    @property
    def step_report(self) -> StepReport:
        """How often the session made a key step, when the last time, and against whom."""
        completed = self._session.completed_step
        if completed is None:
            return NO_STEP
        against = ACTIVE_ON_ONE if completed.active_on_one else PASSIVE
        return StepReport(completed.step, time.monotonic() - self._session.completed_step_at, against)

    def can_add_path(self, path: int) -> bool:
        return self._session.can_add_path(path)

    @property
    def used_paths(self) -> Collection[int]:
        """Numbers that are or were paths of this session."""
        return self._session.used_paths

    @property
    def scheduler(self) -> Scheduler:
        return self._session.scheduler

    def is_alive(self, path: int) -> bool:
        """Return whether `path` exists and is not silent beyond its limit while another works."""
        return self._session.is_alive(path, time.monotonic())

    def stalled(self, path: int) -> bool:
        return self._session.stalled(path)

    def path_state(self, path: int) -> str:
        """Return the state of a path in the words of the path report."""
        dropped = next((event for event in reversed(self.dropped) if event.path == path), None)
        if dropped is None and (state := self.statistics(path).state):
            return state
        if dropped is None:
            return "stalled" if self._session.stalled(path) else "open"
        if dropped.removed:
            return "removed"
        return f"dropped: {dropped.error}" if dropped.error else "closed"

    # --- the flows' side

    def flow_received(self, flow: Flow, data: bytes | memoryview, now: float) -> None:
        self._handle(self._session.receive(flow.path, data, now), now)

    def flow_lost(self, flow: Flow, error: Exception | None) -> None:
        self._handle(self._session.path_lost(flow.path), time.monotonic())

    def flow_writable(self, flow: Flow) -> None:
        self._send_pending(time.monotonic())

    def statistics(self, path: int) -> PathStatistics:
        """Return what `path` has carried."""
        if self.statistics_from is not None:
            return self.statistics_from(path)
        return PathStatistics(self._session.rtt(path), *self._session.bytes_transferred(path))

    @property
    def paths(self) -> list[int]:
        return self._session.paths

    # --- the methods of an asyncio transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known as `name`: "smkex", "peername", "sockname", "path_confirmed", "transport"."""
        return self._extra.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        if self._protocol is None:
            raise RuntimeError("the session has no protocol yet")
        return self._protocol

    def start(self, protocol: asyncio.Protocol) -> None:
        """Give the session its protocol and begin to deliver."""
        self._protocol = protocol
        protocol.connection_made(as_transport(self))
        self._poller.defer(self._resume)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._lost:
            return
        session = self._session
        if self._handling:
            session.write(data)
        elif isinstance(data, memoryview) and data.itemsize == 1 and data.c_contiguous:
            # sealed where they are: a copy of them all would cost as much as receiving them
            session.lend(data)
            try:
                self._send_pending(time.monotonic())
            finally:
                session.keep_lent()
        else:
            session.write(data)
            self._send_pending(time.monotonic())
        if not self._writing_paused and session.unsent > self._high_water and self._protocol:
            self._writing_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self._session.write(data)
        self.write(b"")

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._session.end()
        self._send_pending(time.monotonic())

    @property
    def _high_water(self) -> int:
        """Unsealed bytes above which the application is asked to pause: no more than the window has room for."""
        return min(self._high_limit, self._session.send_window)

    @property
    def held_bytes(self) -> int:
        """Bytes of both streams that this session holds in memory."""
        return self._session.held_bytes

    @property
    def progress(self) -> int:
        """Bytes of both streams that are done with; it only grows."""
        return self._session.progress

    def limit_windows(self, limit: int) -> None:
        """Keep the windows of both streams at or below `limit` from now on."""
        self._session.limit_windows(limit)

    def get_write_buffer_size(self) -> int:
        return self._session.unsent

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return min(LOW_WATER, self._high_water // 2), self._high_water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ask the application to pause at `high` unsealed bytes or less; the other limit is the session's."""
        self._high_limit = HIGH_WATER if high is None else min(HIGH_WATER, high)

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        self._reading_paused = False
        # never from within the call: a StreamReader that resumes is not yet waiting for what would be delivered
        self._poller.defer(self._resume)

    def is_reading(self) -> bool:
        return not self._reading_paused

    def is_closing(self) -> bool:
        return self._closing or self._lost

    def close(self) -> None:
        """End this direction after what was written, and the session when the other end has ended its own."""
        if self._closing or self._lost:
            return
        self._closing = True
        self._session.end()
        self._reading_paused = False
        self._await_close()
        self._deliver()
        self._send_pending(time.monotonic())
        self._finish_if_over()

    def _await_close(self) -> None:
        """Abort a close without progress; written data may take time to arrive."""
        before = self._session.acknowledged

        def overdue() -> None:
            if self._session.acknowledged == before:
                self.abort()
            else:
                self._await_close()

        self._close_timer = self._loop.call_later(CLOSE_TIMEOUT, overdue)

    def abort(self) -> None:
        self._session.abort()
        self._send_pending(time.monotonic())
        self._finish(None)

    def fail(self, error: SmkexError) -> None:
        """End the session at both ends for `error`."""
        self.error = error
        self._session.abort(error)
        self._early.clear()
        self._send_pending(time.monotonic())
        self._finish(error)

    # --- inside

    def _handle(self, events: list[SessionEvent], now: float) -> None:
        late = bool(self._early)
        for event in events:
            if isinstance(event, DataReceived):
                self._buffer_received(event.data, late)
            else:
                self._handle_rare(event)
        self._handling = True  # what the application writes in response is sent with the rest below
        try:
            self._deliver()
        finally:
            self._handling = False
        self._send_pending(now)
        self._finish_if_over()

    def _handle_rare(self, event: SessionEvent) -> None:
        match event:
            case StreamEnded():
                self._peer_ended = True
            case PathDropped(path):
                self.dropped.append(event)
                flow = next((flow for flow in self._flows if flow.path == path), None)
                if flow is not None:
                    self._flows = [other for other in self._flows if other is not flow]
                    flow.write(event.last_word)
                    # queued data is retransmitted on other paths; an unresponsive path would hold it for minutes
                    flow.abort()
                self.on_path_dropped(event)
            case StepCompleted():
                self.on_step_completed(event)
            case RehomeRequested():
                self.on_rehome_asked()
            case SessionFailed(error):
                self.error = error

    def _finish_if_over(self) -> None:
        """Deliver buffered data before EOF; otherwise a truncated stream looks complete."""
        waits = self.error is None and not self._closing and (self._early or self._peer_ended)
        if self._session.over and not self._lost and not waits:
            self._finish(self.error)

    def _buffer_received(self, data: bytes, late: bool) -> None:
        """Hold `data` until it is delivered; behind what waits already (`late`), small pieces are joined."""
        last = self._early[-1] if late else b""
        if not last or len(last) + len(data) > JOIN_LIMIT:
            self._early.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            self._early[-1] = bytearray(last) + data

    def _deliver(self) -> None:
        try:
            self._deliver_all()
        except Exception as error:
            # the protocol missed these bytes, so no later byte may follow
            self._loop.call_exception_handler(
                {"message": "a session's protocol failed", "exception": error, "transport": self}
            )
            self.fail(Cancelled("the application failed"))

    def _deliver_all(self) -> None:
        while self._early and self._protocol is not None and not self._reading_paused and not self._lost:
            data = self._early.pop(0)
            self._session.consume(len(data))
            if not self._closing:
                self._protocol.data_received(data if isinstance(data, bytes) else bytes(data))
        if self._peer_ended and not (self._early or self._reading_paused or self._lost) and self._protocol:
            self._peer_ended = False
            if not self._closing and not self._protocol.eof_received():
                self.close()

    def _resume(self) -> None:
        self._deliver()
        self._send_pending(time.monotonic())  # the peer may be waiting for window space
        self._finish_if_over()

    def _on_timer(self, now: float) -> None:
        self._handle(self._session.on_timer(now), now)

    def _set_timer(self) -> None:
        at = self._session.timer()
        if at is not None and self._timer is not None:
            self._poller.arm(self._timer, at)

    def _send_pending(self, now: float) -> None:
        session = self._session
        account = self.held_bytes_account
        if account is not None:
            # before anything is sealed: that changes the windows, and not what is held
            session.limit_windows(account.report(session.held_bytes, session.progress, now))
        for flow in self._flows:
            while flow.writable and not flow.lost:
                frame = session.data_to_send(flow.path, now)
                if not frame:
                    break
                flow.write(frame)
        if (
            self._writing_paused
            and session.unsent <= min(LOW_WATER, self._high_water // 2)
            and self._protocol
        ):
            self._writing_paused = False
            self._protocol.resume_writing()
        self._set_timer()

    def _finish(self, error: SmkexError | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self._timer is not None:
            self._poller.disarm(self._timer)
            self._timer = None
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._session.discard_streams()  # not whenever the garbage collector finds the session
        for flow in self._flows:
            flow.close()
            if flow.unsent:
                self._loop.call_later(LINGER_TIMEOUT, flow.abort)
        protocol = self._protocol
        if protocol is not None:
            self._poller.defer(lambda: protocol.connection_lost(error))
        on_closed, self.on_closed = self.on_closed, lambda: None  # which refers to this, as a rule
        on_closed()


def as_transport(session: SessionDriver) -> asyncio.Transport:
    """Return the session for what takes an asyncio transport, which it is by its methods."""
    return cast(asyncio.Transport, session)
