"""A session after its handshake: one ordered byte stream per direction over one or more subflows.

A function of (bytes, path, now) that returns bytes to send, events and the time of its next timer. Records that a path
does not confirm are retransmitted on another, with the same ciphertext. A path with invalid or missing records is
closed; a silent path is not chosen until it answers (MPTCPsec section III). Losing all paths before the authenticated
end of both streams is `Truncated`.
"""

from collections.abc import Collection
from typing import Final

from smkex.core.errors import (
    BadRecord,
    Cancelled,
    DeadlineMissed,
    MalformedMessage,
    MisusedStream,
    PeerAborted,
    SmkexError,
    StepChanged,
    Truncated,
)
from smkex.core.events import (
    DataReceived,
    PathDropped,
    RehomeRequested,
    SessionClosed,
    SessionEvent,
    SessionFailed,
    StepCompleted,
    StreamEnded,
)
from smkex.core.keys.epoch_chain import EPOCH_LENGTH, EPOCH_SHIFT, EpochChain
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.control_message import (
    RANGES_LIMIT,
    ControlMessage,
    ControlOpener,
    ControlSealer,
    is_acknowledgement,
    read_acknowledgement,
)
from smkex.core.session.control_state import ControlState
from smkex.core.session.key_steps import KeySteps, StepSettings
from smkex.core.session.path import ACKNOWLEDGE_DELAY, NEVER, STALL_CEILING, Path, record_limit
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.path_set import PathSet
from smkex.core.session.receiving_stream import ReceivingStream
from smkex.core.session.record import DSN_LIMIT, PHASE_SHIFT, SealedRecord, read_dsn, unseal
from smkex.core.session.retransmission import find_slow_record, reschedule_dropped, reschedule_stalled
from smkex.core.session.sending_stream import SendingStream
from smkex.core.wire.frame import (
    CONTROL_TYPE,
    DATA_TYPE,
    HEADER_LENGTH,
    STEP_TYPE,
    SWITCH_TYPE,
    FrameType,
)
from smkex.core.wire.frame_reader import FrameReader

WINDOW: Final = 8 << 20  # bytes a direction: 280 ms at 200 Mbit/s
# received bytes that are acknowledged without delay; fewer in the beginning, while the sender's window is small
ACKNOWLEDGE_THRESHOLD: Final = 256 << 10
FIRST_THRESHOLD: Final = 64 << 10
IMMEDIATELY: Final = float("-inf")
ALL_RANGES_REPORTED: Final = DSN_LIMIT
_SCHEDULERS = frozenset(Scheduler)
_LOWEST_LATENCY: Final = Scheduler.LOWEST_LATENCY
_AGGREGATE: Final = Scheduler.AGGREGATE
_REDUNDANT: Final = Scheduler.REDUNDANT


class Session:
    """One end of a session. `role` is "client" or "server"; `now` is always the driver's clock in seconds.

    `start` is the first DSN of both streams (other than 0 in tests only). `steps` say when key steps are due.
    """

    def __init__(
        self,
        keys: KeySchedule,
        role: str,
        window: int = WINDOW,
        *,
        scheduler: Scheduler = Scheduler.LOWEST_LATENCY,
        start: int = 0,
        steps: StepSettings | None = None,
    ) -> None:
        if window > EPOCH_LENGTH:
            raise ValueError(f"a window of {window} bytes reaches beyond the next key epoch")
        self._role, self._peer = role, "server" if role == "client" else "client"
        epoch = start >> EPOCH_SHIFT
        self._out = SendingStream(EpochChain(keys, role, epoch), window, start)
        self._incoming = ReceivingStream(EpochChain(keys, self._peer, epoch), window, start)
        self._paths = PathSet()
        self._state = ControlState(role, window, scheduler, start)
        self._steps = KeySteps(
            keys, role, steps or StepSettings(), self._paths, self._out, self._incoming, self._state
        )
        self._rehome_reported = False
        self._now = IMMEDIATELY
        self._over = False

    # --- paths

    def add_path(
        self,
        path: int,
        reader: FrameReader,
        rtt: float,
        now: float,
        join: bytes = b"",
        *,
        ingress: int = 0,
        step: int = 0,
    ) -> list[SessionEvent]:
        """Add a subflow to the session, with the bytes that its reader still holds.

        `rtt` in seconds; `join` is the hash of its join, empty for the paths of the key exchange, and `step` the key
        step that it named; `ingress` is the id of the edge where the path enters the CDN. Raises `MisusedStream` for a
        number that was used before, or if there are too many paths, `StepChanged` for another step than the present.
        """
        if not self.can_add_path(path):
            raise MisusedStream(f"path {path} was used before, or there are too many")
        events: list[SessionEvent] = []
        candidate = self._steps.candidate
        if candidate is not None and step == candidate.step:
            events.append(self._steps.complete(now))  # the edge has proven that it uses it
        keys = self._steps.keys
        if step != keys.step:
            raise StepChanged
        reader.handshake_only = False
        sealer = ControlSealer(keys, self._role, path, join)
        opener = ControlOpener(keys, self._peer, path, join)
        joined = step if join else -1
        self._paths.add_path(
            path, Path(sealer, opener, reader, rtt, now, self._out.acknowledged, ingress, joined)
        )
        self._paths.check_for_faster(now)
        reschedule_stalled(self._paths.open, self._out)
        self._repeat_state()
        return events + self.receive(path, b"", now)

    def can_add_path(self, path: int) -> bool:
        """Whether a subflow may become `path` of this session."""
        return self._paths.can_add(path) and not self._over

    def path_lost(self, path: int) -> list[SessionEvent]:
        """The subflow of `path` ended or broke: a FIN or RST ends a path, never the stream."""
        return [] if self._over else self._drop_path(path, None)

    def remove_path(self, path: int) -> list[SessionEvent]:
        """Remove `path` at both ends. Raises `ValueError` for the last path and for one that is not open."""
        if path not in self._paths.open or len(self._paths.open) == 1:
            raise ValueError(f"path {path} is not open, or is the last")
        self._state.add_removed(path)
        events = self._drop_path(path, None, removed=True)
        self._change_state()
        return events

    def set_backup(self, path: int, backup: bool) -> None:
        """Use `path` only when no other works, at both ends."""
        self._paths.set_backup(path, backup)
        self._change_state()

    def ask_to_rehome(self) -> None:
        """Ask the client to leave the service port."""
        self._state.rehome = True
        self._change_state()

    @property
    def paths(self) -> list[int]:
        return list(self._paths.open)

    @property
    def used_paths(self) -> Collection[int]:
        """Numbers that are or were paths of this session."""
        return self._paths.used

    @property
    def scheduler(self) -> Scheduler:
        return self._state.scheduler

    def rtt(self, path: int) -> float | None:
        """Smoothed round-trip time in seconds, from the session's own acknowledgements."""
        return self._paths.open[path].rtt if path in self._paths.open else None

    def is_alive(self, path: int, now: float) -> bool:
        """Whether `path` is open and has not been silent beyond the limit for one beside a working path."""
        return self._paths.is_alive(path, now)

    def stalled(self, path: int) -> bool:
        return path in self._paths.open and self._paths.open[path].stalled

    def preferred_path(self, without: Collection[int] = ()) -> int | None:
        """The fastest path that works, or the fastest if none does; `without` those given."""
        return self._paths.preferred_path(without)

    def bytes_transferred(self, path: int) -> tuple[int, int]:
        """Bytes of frames (sent, received) on `path`, also after it left the session."""
        return self._paths.bytes_transferred(path)

    # --- key steps

    @property
    def step(self) -> int:
        """The number of the current key step."""
        return self._steps.keys.step

    @property
    def completed_step(self) -> StepCompleted | None:
        """The last key step; None while the keys are those of the key exchange."""
        return self._steps.completed

    @property
    def completed_step_at(self) -> float:
        """When the last key step was completed, by the driver's clock."""
        return self._steps.completed_at

    def schedule_steps(self, age: float, volume: int) -> None:
        """Make a key step each `age` seconds, and each `volume` bytes of both streams."""
        self._steps.schedule(age, volume)

    def request_step(self, now: float) -> list[SessionEvent]:
        """Begin a key step as soon as possible; an edge asks the client to."""
        self._now = now
        self._steps.request()
        events: list[SessionEvent] = []
        if not self._over:
            self._check_steps(events)
        return events

    def find_join_keys(self, step: int) -> KeySchedule | None:
        """Return the schedule for a join that names `step`: the current one or, at a client, the next."""
        for keys in (self._steps.keys, self._steps.candidate):
            if keys is not None and keys.step == step:
                return keys
        return None

    @property
    def join_steps(self) -> tuple[int, ...]:
        """The key steps that a client's join may name, the current one first."""
        candidate = self._steps.candidate
        return (self.step,) if candidate is None else (self.step, candidate.step)

    # --- the application's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes of the stream. The caller bounds `unsent`."""
        if not self._over:
            self._out.write(data)

    def lend(self, data: memoryview) -> None:
        """Queue bytes of the stream that stay the caller's, and do not change before `keep_lent`."""
        if not self._over:
            self._out.lend(data)

    def keep_lent(self) -> None:
        """Copy what is still unsent of the lent bytes."""
        self._out.keep_lent()

    def end(self) -> None:
        """End this direction after the queued bytes."""
        if self._out.end():
            self._change_state()

    def consume(self, count: int) -> None:
        """The application consumed `count` received bytes: the peer may send more."""
        self._incoming.consume(count)
        # every acknowledgement reports the limit, but the sender may be waiting for this alone
        if self._state.report_limit(self._incoming.limit, self._incoming.window):
            self._change_state()

    def abort(self, error: SmkexError | None = None) -> None:
        """End the session: a sealed Abort goes out on every path with the next `data_to_send`."""
        if not self._over:
            self._over = True
            for path in self._paths.open.values():
                path.outgoing.append(path.sealer.seal(ControlMessage(abort=(error or Cancelled()).code)))
            self.discard_streams()

    def discard_streams(self) -> None:
        """Free what is queued, kept and waiting: the session has ended, and has no use for it."""
        self._out.discard()
        self._incoming.discard()
        for path in self._paths.open.values():
            path.discard_outstanding()

    @property
    def unsent(self) -> int:
        """Bytes written and not yet sealed."""
        return self._out.unsent

    @property
    def send_window(self) -> int:
        """Bytes of this end that may be unacknowledged now."""
        return self._out.window

    @property
    def held_bytes(self) -> int:
        """Bytes kept here: unsent, unacknowledged, out of order, unread, and parts of frames."""
        held = self._out.held_bytes + self._incoming.held_bytes
        for path in self._paths.open.values():
            held += path.reader.pending
        return held

    @property
    def progress(self) -> int:
        """Finished bytes of both streams: acknowledged by the other end, or consumed here. It only grows."""
        return self._out.acknowledged + self._incoming.consumed

    def limit_windows(self, limit: int) -> None:
        """Keep the windows of both streams at or below `limit` from now on; granted bytes stay granted."""
        self._out.limit_window(limit)
        self._incoming.limit_window(limit)

    @property
    def acknowledged(self) -> int:
        """The DSN below which the other end has everything."""
        return self._out.acknowledged

    @property
    def over(self) -> bool:
        return self._over

    # --- the network's side

    def receive(self, path: int, data: bytes | bytearray | memoryview, now: float) -> list[SessionEvent]:
        """Process bytes that arrived on `path`, split anywhere; what `data` views may change afterwards."""
        self._now = now
        subflow = self._paths.open.get(path)
        if self._over or subflow is None:
            return []
        subflow.received += len(data)
        reader = subflow.reader
        if isinstance(data, memoryview):
            reader.lend(data)
        else:
            reader.feed(data)
        events: list[SessionEvent] = []
        try:
            while (frame := reader.take_frame()) is not None:
                if not isinstance(frame, bytes) or frame[0] == DATA_TYPE:
                    self._receive_record(path, subflow, frame, events)
                elif frame[0] == CONTROL_TYPE:
                    self._receive_control(path, subflow, subflow.opener.open(frame), events)
                elif frame[0] == SWITCH_TYPE:
                    self._receive_switch(path, subflow, frame, events)
                elif frame[0] == STEP_TYPE:
                    completed = self._steps.receive(path, subflow.opener.open(frame), now)
                    if completed is not None:
                        events.append(completed)
                else:
                    # an unauthenticated Abort means nothing once keys exist; other handshake messages are not
                    # allowed here
                    raise MalformedMessage(f"{FrameType(frame[0]).name} came after the handshake")
                if self._over or path not in self._paths.open:
                    break
        except (BadRecord, MalformedMessage) as error:
            # acknowledge on this path first, so that what arrived before is not retransmitted elsewhere
            events += self._drop_path(path, error, last_word=self._seal_state(subflow))
        except SmkexError as failure:
            self.abort(failure)
            events.append(SessionFailed(failure))
        reader.keep_unread()
        if now >= self._steps.check_at and not self._over:
            self._check_steps(events)
        if self._incoming.ended and self._out.end_acknowledged and not self._over:
            self._close(events)
        return events

    def data_to_send(self, path: int, now: float) -> bytes:
        """Return the next frame to send on `path`, or nothing. The scheduler decides what goes where."""
        self._now = now
        subflow, out = self._paths.open.get(path), self._out
        if subflow is None:
            return b""
        nothing_new = not out.unsent and not out.retransmissions and self._state.scheduler is not _REDUNDANT
        if nothing_new and subflow.state_due > now and not subflow.outgoing:
            return b""  # common case: nothing to send
        frame = self._next_frame(path, subflow)
        subflow.sent += len(frame)
        return frame

    def timer(self) -> float | None:
        """When to call `on_timer` next; None if nothing is due."""
        now = self._now
        soonest = self._paths.next_timer(now)
        at = self._steps.timer_at
        if now < at < soonest:
            soonest = at
        at = self._paths.silence_deadline()
        if now < at < soonest:
            soonest = at
        oldest = find_slow_record(self._paths.open, self._out)
        if oldest is not None:
            at = oldest.sent_at + STALL_CEILING
            if now < at < soonest:
                soonest = at
        return None if soonest == NEVER else soonest

    def on_timer(self, now: float) -> list[SessionEvent]:
        """Do what is due by `now`: detect stalls, retransmit on other paths, ping quiet paths."""
        self._now = now
        if self._over:
            return []
        for path in self._paths.open.values():
            if not path.stalled and now >= path.deadline:
                path.stalled_at = now
                self._paths.changed = True
                path.ping_due = True
                path.schedule_state(now)
                self._repeat_state()
            elif now >= path.ping_due_at:
                path.ping_due = True
                self._out.keys.release_ciphers()
                self._incoming.release_ciphers()
                path.schedule_state(now)
        reschedule_stalled(self._paths.open, self._out)
        oldest = find_slow_record(self._paths.open, self._out)
        if oldest is not None and now >= oldest.sent_at + STALL_CEILING:
            self._out.schedule_retransmission(oldest)
        events = self._drop_silent_paths(now)
        if not self._over:
            self._check_steps(events)
        return events

    # --- sending

    def _next_frame(self, number: int, path: Path) -> bytes:
        if path.outgoing:
            return path.outgoing.pop(0)
        if self._over:
            return b""
        now = self._now
        if path.state_due <= now:
            return self._seal_state(path)
        record = self._next_record(number, path)
        if record is None:
            return b""
        path.track_record(number, record, now)
        if path.state_due - now <= ACKNOWLEDGE_DELAY / 2:  # what is due soon goes along: a packet less
            path.state_due = IMMEDIATELY
        return record.frame

    def _next_record(self, number: int, path: Path) -> SealedRecord | None:
        out, scheduler = self._out, self._state.scheduler
        if out.retransmissions:
            for record in out.pending_retransmissions():
                if number == self._paths.preferred_path(without=record.carriers()):
                    out.cancel_retransmission(record)
                    return record
        if scheduler is _LOWEST_LATENCY:
            if not out.unsent or number != self._paths.preferred_path():
                return None
            return out.next_record(record_limit(path.min_rtt))
        if not out.unsent and scheduler is not _REDUNDANT:
            return None
        if number not in self._paths.usable_paths():
            return None
        most = record_limit(path.min_rtt)
        if scheduler is _AGGREGATE:
            return out.next_record(most)
        copy = out.first_missing_from(path.position) or out.next_record(most)
        if copy is not None:
            path.position = copy.end
        return copy

    def _seal_state(self, path: Path) -> bytes:
        return path.sealer.seal_items(
            self._state.build_items(path, self._incoming, self._out.final, self._paths.backup, self._now)
        )

    def _change_state(self) -> None:
        self._state.bump_version()
        self._repeat_state()

    def _repeat_state(self) -> None:
        if self._state.unconfirmed:
            self._schedule_on_preferred(IMMEDIATELY)

    def _schedule_state(self, path: Path, when: float) -> None:
        """Answer on the path that data arrived on, to measure it; if it has stalled, on another too."""
        path.schedule_state(when)
        if path.stalled:
            self._schedule_on_preferred(when)

    def _schedule_on_preferred(self, when: float) -> None:
        best = self._paths.preferred_path()
        if best is not None:
            self._paths.open[best].schedule_state(when)

    # --- losing paths

    def _drop_silent_paths(self, now: float) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        if now >= self._paths.silence_deadline():
            for number in list(self._paths.open):
                events += self._drop_path(number, None)
            return events
        for number, path in list(self._paths.open.items()):
            works = any(not other.stalled for other in self._paths.open.values())
            if path.stalled and works and now >= path.deadline:
                events += self._drop_path(number, DeadlineMissed("the path is silent"))
        return events

    def _drop_path(
        self, number: int, error: SmkexError | None, *, removed: bool = False, last_word: bytes = b""
    ) -> list[SessionEvent]:
        path = self._paths.remove_path(number)
        if path is None:
            return []
        reschedule_dropped(number, path, self._out)
        reschedule_stalled(self._paths.open, self._out)
        removed = removed or number in self._paths.peer_removed
        best = self._paths.preferred_path()
        if best is not None:
            self._paths.open[best].schedule_state(IMMEDIATELY)
            return [PathDropped(number, error, removed, last_word)]
        self._over = True
        return [PathDropped(number, error, removed), SessionFailed(error or Truncated())]

    # --- receiving

    def _receive_record(
        self, number: int, path: Path, frame: bytes | memoryview, events: list[SessionEvent]
    ) -> None:
        incoming, now = self._incoming, self._now
        if len(frame) > HEADER_LENGTH and frame[HEADER_LENGTH] >> PHASE_SHIFT != incoming.keys.phase:
            dsn, data = self._open_of_other_phase(bytes(frame), events)
        else:
            dsn, data = unseal(incoming.keys, frame)
        if number != self._paths.current and self._role == "server":
            self._paths.follow_peer(number, now)
        path.heard_at = now
        if incoming.final is not None and dsn + len(data) > incoming.final:
            raise MisusedStream("a record lies beyond the end of its stream")
        if incoming.has_record(dsn):
            # the other end does not know that it arrived: acknowledge on every path
            for other in self._paths.open.values():
                other.schedule_state(now + ACKNOWLEDGE_DELAY)
        for part in incoming.add_record(dsn, data):
            events.append(DataReceived(part))
        threshold = min(ACKNOWLEDGE_THRESHOLD, FIRST_THRESHOLD + (incoming.next >> 2))
        much = incoming.next - self._state.reported >= threshold
        self._schedule_state(path, now if much else now + ACKNOWLEDGE_DELAY)
        if incoming.final is not None:
            self._report_end(events)

    def _open_of_other_phase(self, frame: bytes, events: list[SessionEvent]) -> tuple[int, bytes]:
        """Open a record of the key step before or, at a client, the next one; no data for one that is repeated."""
        chain = self._incoming.find_chain(frame)
        if chain is None:
            return read_dsn(frame), b""
        opened = unseal(chain, frame)
        if chain is self._incoming.candidate:
            events.append(self._steps.complete(self._now))
        return opened

    def _receive_switch(self, number: int, path: Path, frame: bytes, events: list[SessionEvent]) -> None:
        """The first control message of this path under the next control key."""
        step = path.opener.step + 1
        keys = self.find_join_keys(step)
        if keys is None:
            raise MalformedMessage("a path changes its control key without a key step")
        opener = path.opener.renew(keys)
        items = opener.open(frame)
        path.opener.erase()
        path.opener = opener
        if step != self.step:
            events.append(self._steps.complete(self._now))
        self._receive_control(number, path, items, events)

    def _check_steps(self, events: list[SessionEvent]) -> None:
        """Begin or repeat a key step where one is due; close paths that have not followed the last one."""
        for number in self._steps.lagging_paths(self._now):
            events += self._drop_path(number, DeadlineMissed("the path has not changed its control key"))
        try:
            if self._steps.check(self._now):
                self._change_state()
        except SmkexError as failure:
            self.abort(failure)
            events.append(SessionFailed(failure))

    def _receive_control(self, number: int, path: Path, items: bytes, events: list[SessionEvent]) -> None:
        if is_acknowledgement(items):  # common case
            acknowledged, limit, waited = read_acknowledgement(items)
            self._out.acknowledge(acknowledged, limit, ())
            self._confirm_transmissions(number, ALL_RANGES_REPORTED, waited, False, events)
            return
        message = ControlMessage.parse(items)
        if message.abort is not None:
            self._over = True
            events.append(SessionFailed(PeerAborted(message.abort, authenticated=True)))
            return
        if message.ping is not None:
            path.pong = message.ping
            path.heard_at = self._now
            self._schedule_state(path, IMMEDIATELY)
        if message.pong is not None:
            self._state.accept_pong(path, message.pong)
        ranges = message.ranges
        if message.acknowledged is not None:
            self._out.acknowledge(message.acknowledged, message.limit, ranges)
        if message.final is not None:
            self._incoming.set_final(message.final)
        self._report_end(events)
        horizon = ALL_RANGES_REPORTED if len(ranges) < RANGES_LIMIT else ranges[-1][1]
        self._confirm_transmissions(number, horizon, message.waited, bool(ranges), events)
        self._apply_requests(message, events)

    def _confirm_transmissions(
        self, arrived_on: int, horizon: int, waited: int, has_ranges: bool, events: list[SessionEvent]
    ) -> None:
        """Remove confirmed transmissions from their paths; close a path on which a record is missing."""
        # what the answer waited at the other end is not latency of the path
        answered_at = self._now - waited / 1e6
        dropped: list[int] = []
        for number, path in self._paths.open.items():
            if not path.outstanding:
                continue
            was_stalled = path.stalled
            if path.confirm_outstanding(
                self._now, horizon, answered_at if number == arrived_on else NEVER, in_order=not has_ranges
            ):
                dropped.append(number)
            elif was_stalled and not path.stalled:
                self._resume_path(path)
            self._state.confirm_version(path.version)
        for number in dropped:
            events += self._drop_path(number, BadRecord("a record is missing on the path"))
        self._paths.check_for_faster(self._now)

    def _resume_path(self, path: Path) -> None:
        """Cancel retransmissions of what a path still carries that has stopped stalling."""
        for sent in path.outstanding:
            if sent.record is not None:
                self._out.cancel_retransmission(sent.record)
        self._paths.changed = True
        reschedule_stalled(self._paths.open, self._out)

    def _apply_requests(self, message: ControlMessage, events: list[SessionEvent]) -> None:
        if message.step is not None and message.step == self.step:
            self._incoming.set_step_from(message.step_from)
        if message.step_wanted is not None:
            self._steps.ask(message.step_wanted)
        self._paths.peer_removed |= message.removed  # the peer closes their subflows itself
        if message.backup is not None and self._state.is_new_backup(message):
            self._paths.peer_backup = message.backup
            self._paths.changed = True
        if self._state.is_new_scheduler(message) and message.scheduler in _SCHEDULERS:
            self._state.scheduler = Scheduler(message.scheduler)
        if message.rehome and self._role == "client" and not self._rehome_reported:
            self._rehome_reported = True
            events.append(RehomeRequested())

    def _report_end(self, events: list[SessionEvent]) -> None:
        if self._incoming.check_end():
            self._schedule_on_preferred(IMMEDIATELY)
            events.append(StreamEnded())

    def _close(self, events: list[SessionEvent]) -> None:
        """Both streams are complete and acknowledged."""
        self._over = True
        for path in self._paths.open.values():
            # the peer may still wait for this acknowledgement of its end: send it on every path
            path.outgoing.append(self._seal_state(path))
        events.append(SessionClosed())
