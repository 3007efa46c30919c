"""A session after its handshake: one ordered byte stream per direction over one or more subflows.

A function of (bytes, path, now) that returns bytes to send, events and the time of its next timer. Records that a path
does not confirm are retransmitted on another, with the same ciphertext. A path with invalid or missing records is
closed; a silent path is not chosen until it answers (MPTCPsec section III). Losing all paths before the authenticated
end of both streams is `Truncated`.
"""

from collections.abc import Collection

from smkex.core.errors import (
    BadRecord,
    Cancelled,
    DeadlineMissed,
    MalformedMessage,
    MisusedStream,
    PeerAborted,
    SmkexError,
    Truncated,
)
from smkex.core.events import (
    DataReceived,
    PathDropped,
    RehomeRequested,
    SessionClosed,
    SessionEvent,
    SessionFailed,
    StreamEnded,
)
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.control_message import RANGES_LIMIT, ControlMessage, ControlOpener, ControlSealer
from smkex.core.session.path import NEVER, SILENCE_LIMIT, STALL_CEILING, Path, record_limit
from smkex.core.session.path_scheduler import SWITCH_RATIO, Scheduler, fastest_path
from smkex.core.session.reassembly import Reassembly
from smkex.core.session.record import EpochKeys, SealedRecord, unseal
from smkex.core.session.sending_stream import SendingStream
from smkex.core.wire.frame import FrameType
from smkex.core.wire.frame_reader import FrameReader

WINDOW = 8 << 20  # bytes a direction: 280 ms at 200 Mbit/s
ACKNOWLEDGE_THRESHOLD = 256 << 10  # received bytes that are acknowledged without delay
MAXIMUM_PATHS = 8  # open at once
MAXIMUM_PATH_NUMBER = 255  # numbers are never used twice, so this bounds the joins of a session
REMOVED_LIMIT = 16  # removals reported in one message: more than can be open
IMMEDIATELY = float("-inf")
ALL_RANGES_REPORTED = float("inf")
_SCHEDULERS = frozenset(Scheduler)
_DATA, _CONTROL = FrameType.DATA, FrameType.CONTROL


class Session:
    """One end of a session. `role` is "client" or "server"; `now` is always the driver's clock in seconds.

    `start` is the first DSN of both streams (other than 0 in tests only).
    """

    def __init__(
        self,
        keys: KeySchedule,
        role: str,
        window: int = WINDOW,
        *,
        scheduler: Scheduler = Scheduler.LOWEST_LATENCY,
        start: int = 0,
    ) -> None:
        self._keys = keys
        self._role, self._peer = role, "server" if role == "client" else "client"
        self._open_keys = EpochKeys(keys, self._peer)
        self._out = SendingStream(EpochKeys(keys, role), window, start)
        self._incoming = Reassembly(window, start)
        self._paths: dict[int, Path] = {}
        self._used: set[int] = set()
        self._carried: dict[int, tuple[int, int]] = {}
        self._fastest: int | None = None
        self._paths_changed = True
        self._scheduler = scheduler
        self._peer_final: int | None = None
        self._peer_ended = False
        self._told = start
        self._told_limit = start + window
        # what must arrive has a version; a ping that was sent with it and is answered confirms it
        self._version = 1 if scheduler is not Scheduler.LOWEST_LATENCY else 0
        self._confirmed = 0
        self._pings = 0
        self._removed: list[int] = []
        self._backup: set[int] = set()
        self._peer_backup: Collection[int] = ()
        self._rehome = False
        self._rehome_told = False
        self._now = IMMEDIATELY
        self._over = False

    # --- paths

    def add_path(
        self, path: int, reader: FrameReader, rtt: float, now: float, join: bytes = b""
    ) -> list[SessionEvent]:
        """Take a subflow into the session, with what its reader still holds of frames.

        `rtt` in seconds; `join` is the hash of its join, empty for the paths of the key exchange. Raises
        `MisusedStream` for a number that was used before or is too many.
        """
        if not self.can_add_path(path):
            raise MisusedStream(f"path {path} was used before, or there are too many")
        reader.handshake_only = False
        self._used.add(path)
        self._paths[path] = Path(
            ControlSealer(self._keys, self._role, path, join),
            ControlOpener(self._keys, self._peer, path, join),
            reader,
            rtt,
            now,
            position=self._out.acknowledged,
        )
        self._paths_changed = True
        self._rescue()
        self._repeat_state()
        return self.receive(path, b"", now)

    def can_add_path(self, path: int) -> bool:
        """Whether a subflow may become `path` of this session."""
        fresh = 0 <= path <= MAXIMUM_PATH_NUMBER and path not in self._used
        return fresh and len(self._paths) < MAXIMUM_PATHS and not self._over

    def path_lost(self, path: int) -> list[SessionEvent]:
        """The subflow of `path` ended or broke: a FIN or RST ends a path, never the stream."""
        return [] if self._over else self._drop(path, None)

    def remove_path(self, path: int) -> list[SessionEvent]:
        """Take `path` out at both ends. Raises `ValueError` for the last one and for one that is not there."""
        if path not in self._paths or len(self._paths) == 1:
            raise ValueError(f"path {path} is not there, or is the last")
        self._removed = [*self._removed[1 - REMOVED_LIMIT :], path]
        events = self._drop(path, None, removed=True)
        self._bump_state_version()
        return events

    def set_backup(self, path: int, backup: bool) -> None:
        """Keep `path` for when no other works, at both ends."""
        (self._backup.add if backup else self._backup.discard)(path)
        self._paths_changed = True
        self._bump_state_version()

    def ask_to_rehome(self) -> None:
        """The edge's wish that the client leave the service port."""
        self._rehome = True
        self._bump_state_version()

    @property
    def paths(self) -> list[int]:
        return list(self._paths)

    @property
    def used_paths(self) -> Collection[int]:
        """Numbers that are or were paths of this session."""
        return self._used

    @property
    def scheduler(self) -> Scheduler:
        return self._scheduler

    def rtt(self, path: int) -> float | None:
        """Smoothed round-trip time in seconds, from the session's own acknowledgements."""
        return self._paths[path].rtt if path in self._paths else None

    def is_alive(self, path: int, now: float) -> bool:
        """Whether `path` is there, and not silent for as long as one is kept beside another that works."""
        there = self._paths.get(path)
        return there is not None and not (there.stalled and now >= there.deadline)

    def stalled(self, path: int) -> bool:
        return path in self._paths and self._paths[path].stalled

    def preferred_path(self, without: Collection[int] = ()) -> int | None:
        """The fastest path that works, or the fastest if none does; `without` those given."""
        if without:
            return fastest_path({n: self._paths[n].rtt for n in self._usable(without)}, self._fastest)
        if self._paths_changed:
            self._paths_changed = False
            self._fastest = fastest_path({n: self._paths[n].rtt for n in self._usable()}, self._fastest)
        return self._fastest

    # --- the application's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes of the stream. The caller minds `unsent`."""
        if not self._over:
            self._out.write(data)

    def end(self) -> None:
        """End this direction after what is queued."""
        if self._out.end():
            self._bump_state_version()

    def consume(self, count: int) -> None:
        """The application took `count` received bytes: the peer may send more."""
        self._incoming.consume(count)
        if self._incoming.limit - self._told_limit >= self._incoming.window // 4:
            # every acknowledgement says it too, but the sender may be waiting for nothing else than this
            self._told_limit = self._incoming.limit
            self._bump_state_version()

    def abort(self, error: SmkexError | None = None) -> None:
        """Give the session up: a sealed Abort goes out on every path with the next `data_to_send`."""
        if not self._over:
            self._over = True
            for path in self._paths.values():
                path.outgoing.append(path.sealer.seal(ControlMessage(abort=(error or Cancelled()).code)))
            self._out.discard()
            self._incoming.discard()

    @property
    def unsent(self) -> int:
        """Bytes written and not yet sealed."""
        return self._out.unsent

    @property
    def send_window(self) -> int:
        """How many bytes of this end may be unacknowledged now."""
        return self._out.window

    @property
    def held_bytes(self) -> int:
        """Bytes kept here: unsent, unacknowledged, out of order, unread, and parts of frames."""
        partial = sum([path.reader.pending for path in self._paths.values()])
        return self._out.held_bytes + self._incoming.held_bytes + partial

    @property
    def progress(self) -> int:
        """Bytes of both streams that are done with: acknowledged by the other end, or consumed here. It only grows."""
        return self._out.acknowledged + self._incoming.consumed

    def limit_windows(self, limit: int) -> None:
        """Keep the windows of both streams at or below `limit` from now on; nothing granted is taken back."""
        self._out.limit_window(limit)
        self._incoming.limit_window(limit)

    @property
    def acknowledged(self) -> int:
        """The DSN below which the other end has everything."""
        return self._out.acknowledged

    @property
    def over(self) -> bool:
        return self._over

    def bytes_transferred(self, path: int) -> tuple[int, int]:
        """Bytes of frames (sent, received) that `path` carries, or carried while it was in the session."""
        there = self._paths.get(path)
        return (there.sent, there.received) if there is not None else self._carried.get(path, (0, 0))

    # --- the network's side

    def receive(self, path: int, data: bytes | bytearray | memoryview, now: float) -> list[SessionEvent]:
        """Take bytes that arrived on `path`, however cut."""
        self._now = now
        if self._over or path not in self._paths:
            return []
        subflow = self._paths[path]
        subflow.received += len(data)
        subflow.reader.feed(data)
        events: list[SessionEvent] = []
        try:
            for kind, frame in subflow.reader.frames():
                events += self._frame(path, subflow, kind, frame)
                if self._over or path not in self._paths:
                    break
        except (BadRecord, MalformedMessage) as error:
            # the other end hears of it on this path first: what arrived before need not go out again elsewhere
            events += self._drop(path, error, last_word=self._state(subflow))
        except SmkexError as failure:
            self.abort(failure)
            events.append(SessionFailed(failure))
        return events + self._closing()

    def data_to_send(self, path: int, now: float) -> bytes:
        """Return the next frame to send on `path`, or nothing. The scheduler decides what goes where."""
        self._now = now
        subflow, out = self._paths.get(path), self._out
        if subflow is None:
            return b""
        nothing_new = not (out.unsent or out.retransmissions or self._scheduler is Scheduler.REDUNDANT)
        if nothing_new and subflow.state_due > now and not subflow.outgoing:
            return b""  # as most times that one asks
        frame = self._next_frame(path, subflow)
        subflow.sent += len(frame)
        return frame

    def timer(self) -> float | None:
        """When `on_timer` wants to be called next."""
        oldest = self._too_slow()
        times = [self._silence_ends(), NEVER if oldest is None else oldest.sent_at + STALL_CEILING]
        for path in self._paths.values():
            times += path.state_due, path.deadline, path.ping_due_at
        now = self._now
        soonest = min([at for at in times if at > now], default=NEVER)
        return None if soonest == NEVER else soonest

    def on_timer(self, now: float) -> list[SessionEvent]:
        """Do what is due by `now`: find stalls, send again elsewhere, ping quiet paths."""
        self._now = now
        if self._over:
            return []
        for path in self._paths.values():
            if not path.stalled and now >= path.deadline:
                path.stalled_at = now
                self._paths_changed = True
                path.ping_due = True
                path.schedule_state(now)
                self._repeat_state()
            elif now >= path.ping_due_at:
                path.ping_due = True
                path.schedule_state(now)
        self._rescue()
        oldest = self._too_slow()
        if oldest is not None and now >= oldest.sent_at + STALL_CEILING:
            self._out.schedule_retransmission(oldest)
        return self._give_up(now)

    # --- sending

    def _next_frame(self, number: int, path: Path) -> bytes:
        if path.outgoing:
            return path.outgoing.popleft()
        if self._over:
            return b""
        if path.state_due <= self._now:
            return self._state(path)
        record = self._next_record(number, path)
        if record is None:
            return b""
        path.track_record(number, record, self._now)
        if path.state_due < NEVER:  # what is to be stated soon goes along: a packet less for each answer
            path.schedule_state(IMMEDIATELY)
        return record.frame

    def _next_record(self, number: int, path: Path) -> SealedRecord | None:
        out = self._out
        for record in out.pending_retransmissions():
            if number == self.preferred_path(without=record.paths):
                out.cancel_retransmission(record)
                return record
        if not out.unsent and self._scheduler is not Scheduler.REDUNDANT:
            return None
        if self._scheduler is Scheduler.LOWEST_LATENCY:
            if number != self.preferred_path():
                return None
            return out.next_record(record_limit(path.min_rtt))
        if number not in self._usable():
            return None
        most = record_limit(path.min_rtt)
        if self._scheduler is Scheduler.AGGREGATE:
            return out.next_record(most)
        copy = out.first_missing_from(path.position) or out.next_record(most)
        if copy is not None:
            path.position = copy.end
        return copy

    def _state(self, path: Path) -> bytes:
        """Seal all there is to state; as it is absolute, the newest of them replaces all before."""
        path.state_due = NEVER
        ping = None
        unconfirmed = self._version > self._confirmed
        if path.ping_due or (unconfirmed and all(s.version < self._version for s in path.outstanding)):
            self._pings += 1
            ping = self._pings
            path.ping_due = False
            path.track_ping(ping, self._version, self._now)
        pong, path.pong = path.pong, None
        self._told = self._received()
        return path.sealer.seal(
            ControlMessage(
                self._told,
                self._incoming.limit,
                self._out.final,
                ranges=self._incoming.ranges(RANGES_LIMIT),
                ping=ping,
                pong=pong,
                removed=frozenset(self._removed if unconfirmed else ()),
                backup=frozenset(self._backup) if unconfirmed else None,
                scheduler=self._scheduler if unconfirmed and self._role == "client" else None,
                rehome=self._rehome and unconfirmed,
            )
        )

    def _bump_state_version(self) -> None:
        """Something changed that must arrive: it is stated until a ping with it is answered."""
        self._version += 1
        self._repeat_state()

    def _repeat_state(self) -> None:
        if self._version > self._confirmed:
            self._due_on_best(IMMEDIATELY)

    # --- which paths

    def _usable(self, without: Collection[int] = ()) -> list[int]:
        """Paths that work and are not backups; failing that, those that work; failing that, all."""
        there = [n for n in self._paths if n not in without]
        live = [n for n in there if not self._paths[n].stalled]
        first = [n for n in live if n not in self._backup and n not in self._peer_backup]
        return first or live or there

    def _too_slow(self) -> SealedRecord | None:
        """The record that all others wait for, if a second is its limit: its path works, but another might be free."""
        oldest = self._out.oldest
        if oldest is None or not oldest.copies:
            return None
        for number, path in self._paths.items():
            if path.stalled_at is None and number not in oldest.paths:
                return oldest
        return None

    def _rescue(self) -> None:
        """Send again, while a path works, whatever is only on paths that do not."""
        live = {n for n, path in self._paths.items() if not path.stalled}
        if not live:
            return
        for path in self._paths.values():
            for sent in path.outstanding if path.stalled else ():
                if sent.record is not None and not sent.record.paths & live:
                    self._out.schedule_retransmission(sent.record)

    def _silence_ends(self) -> float:
        """When a session is over whose paths are all silent."""
        latest = IMMEDIATELY
        for path in self._paths.values():
            if path.stalled_at is None:
                return NEVER
            latest = max(latest, path.stalled_at)
        return NEVER if latest == IMMEDIATELY else latest + SILENCE_LIMIT

    def _give_up(self, now: float) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        if now >= self._silence_ends():
            for number in list(self._paths):
                events += self._drop(number, None)
            return events
        for number, path in list(self._paths.items()):
            works = any(not other.stalled for other in self._paths.values())
            if path.stalled and works and now >= path.deadline:
                events += self._drop(number, DeadlineMissed("the path is silent"))
        return events

    def _drop(
        self, number: int, error: SmkexError | None, *, removed: bool = False, last_word: bytes = b""
    ) -> list[SessionEvent]:
        path = self._paths.pop(number, None)
        if path is None:
            return []
        self._carried[number] = (path.sent, path.received)
        self._backup.discard(number)
        self._paths_changed = True
        for sent in path.outstanding:
            if sent.record is not None:
                sent.record.paths.discard(number)
                if not sent.record.paths:
                    self._out.schedule_retransmission(sent.record)
        self._rescue()
        best = self.preferred_path()
        if best is not None:
            self._paths[best].schedule_state(IMMEDIATELY)
            return [PathDropped(number, error, removed, last_word)]
        self._over = True
        return [PathDropped(number, error, removed), SessionFailed(error or Truncated())]

    # --- receiving

    def _received(self) -> int:
        return self._incoming.next + (1 if self._peer_ended else 0)

    def _frame(self, number: int, path: Path, kind: FrameType, frame: bytes) -> list[SessionEvent]:
        if kind is _DATA:
            dsn, data = unseal(self._open_keys, frame)
            if number != self._fastest:
                self._follow(number, path)
            return self._record(path, dsn, data)
        if kind is _CONTROL:
            return self._control(number, path, path.opener.open(frame))
        # an Abort in clear has no weight once keys exist; any other handshake message has no place here
        raise MalformedMessage(f"{kind.name} came after the handshake")

    def _record(self, path: Path, dsn: int, data: bytes) -> list[SessionEvent]:
        if self._peer_final is not None and dsn + len(data) > self._peer_final:
            raise MisusedStream("a record lies behind the end of its stream")
        if self._incoming.has_record(dsn):
            # the other end does not know that it came: say so by every way
            for other in self._paths.values():
                other.schedule_state(self._now + other.acknowledge_delay)
        events: list[SessionEvent] = [DataReceived(part) for part in self._incoming.add_record(dsn, data)]
        much = self._incoming.next - self._told >= ACKNOWLEDGE_THRESHOLD
        self._due(path, self._now if much else self._now + path.acknowledge_delay)
        return events + self._ended()

    def _due(self, path: Path, when: float) -> None:
        """Answer on the path that was heard, for its latency; where it is deaf, on another too."""
        path.schedule_state(when)
        if path.stalled:
            self._due_on_best(when)

    def _due_on_best(self, when: float) -> None:
        best = self.preferred_path()
        if best is not None:
            self._paths[best].schedule_state(when)

    def _control(self, number: int, path: Path, control: ControlMessage) -> list[SessionEvent]:
        if control.abort is not None:
            self._over = True
            return [SessionFailed(PeerAborted(control.abort, authenticated=True))]
        if control.ping is not None:
            path.pong = control.ping
            self._due(path, IMMEDIATELY)
        if control.pong is not None:
            if control.pong > self._pings:
                raise MisusedStream("an answer came to a ping that was never sent")
            path.highest_pong = max(path.highest_pong, control.pong)
        if control.acknowledged is not None:
            self._out.acknowledge(control.acknowledged, control.limit, control.ranges)
        if control.final is not None:
            if self._peer_final not in (None, control.final) or control.final < self._incoming.next:
                raise MisusedStream("the end of the stream moved")
            self._peer_final = control.final
        return self._ended() + self._settle(path, control) + self._wishes(control)

    def _settle(self, heard: Path, control: ControlMessage) -> list[SessionEvent]:
        """What is confirmed leaves its path; a path that took something out leaves the session."""
        horizon = ALL_RANGES_REPORTED if len(control.ranges) < RANGES_LIMIT else control.ranges[-1][1]
        events: list[SessionEvent] = []
        for number, path in list(self._paths.items()):
            if not path.outstanding:
                continue
            was_stalled = path.stalled
            left_out, version = path.confirm_outstanding(self._now, horizon, timed=path is heard)
            self._confirmed = max(self._confirmed, version)
            if left_out:
                events += self._drop(number, BadRecord("a record was taken out on the path"))
            elif was_stalled and not path.stalled:
                for sent in path.outstanding:
                    if sent.record is not None:
                        self._out.cancel_retransmission(sent.record)
                self._paths_changed = True
                self._rescue()
        self._paths_changed = self._paths_changed or self._outrun()
        return events

    def _outrun(self) -> bool:
        """Whether another path may have become clearly faster than the one in use."""
        used = self._paths.get(self._fastest) if self._fastest is not None else None
        return used is None or min([path.rtt for path in self._paths.values()]) < SWITCH_RATIO * used.rtt

    def _follow(self, number: int, path: Path) -> None:
        """Answer on the path that the client uses where none is clearly faster: what is stated then goes along."""
        used = self._paths.get(self._fastest) if self._fastest is not None else None
        if self._role == "server" and used is not None and used.rtt >= SWITCH_RATIO * path.rtt:
            self._fastest = number
            self._paths_changed = True  # and it may be a backup, or stalled

    def _wishes(self, control: ControlMessage) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        for number in control.removed:
            events += self._drop(number, None, removed=True)
        if control.backup is not None:
            self._peer_backup = control.backup
            self._paths_changed = True
        if control.scheduler in _SCHEDULERS and self._role == "server":
            self._scheduler = Scheduler(control.scheduler)
        if control.rehome and self._role == "client" and not self._rehome_told:
            self._rehome_told = True
            events.append(RehomeRequested())
        return events

    def _ended(self) -> list[SessionEvent]:
        if self._peer_ended or self._peer_final is None or self._incoming.next != self._peer_final:
            return []
        self._peer_ended = True
        self._due_on_best(IMMEDIATELY)
        return [StreamEnded()]

    def _closing(self) -> list[SessionEvent]:
        if self._over or not self._peer_ended or not self._out.end_acknowledged:
            return []
        self._over = True
        for path in self._paths.values():
            # the peer may still wait for this, the acknowledgement of its end: no one path may keep it
            path.outgoing.append(self._state(path))
        return [SessionClosed()]
