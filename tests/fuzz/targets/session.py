"""One end of an established session and everything that may happen to it, authentic or not, on any path.

The peer holds the keys: it may be a correct one behind hostile paths, or hostile itself. What must hold: nothing is
raised, delivered bytes are those sealed for that position, and buffers are bounded.
"""

from harness import covered, fuzz

with covered():
    from smkex.core.events import DataReceived, SessionClosed, SessionEvent, SessionFailed
    from smkex.core.keys.epoch_chain import EPOCH_SHIFT, EpochChain
    from smkex.core.keys.key_schedule import KeySchedule
    from smkex.core.session.control_message import ControlMessage, ControlSealer
    from smkex.core.session.key_steps import ATTEMPTS_BURST, StepSettings
    from smkex.core.session.path_scheduler import Scheduler
    from smkex.core.session.path_set import MAXIMUM_PATHS
    from smkex.core.session.record import UNACKNOWLEDGED_LIMIT, seal
    from smkex.core.session.session import Session
    from smkex.core.session.step_exchange import StepAttempt
    from smkex.core.session.step_message import (
        encode_step_answer,
        encode_step_binding,
        encode_step_finished,
        encode_step_nonce,
        encode_step_share,
    )
    from smkex.core.wire.frame import RECORD_DATA_LIMIT, STEP_TYPE, SWITCH_TYPE
    from smkex.core.wire.frame_reader import FrameReader
    from smkex.core.wire.messages import Aead, Mode
    from smkex.core.wire.named_group import NamedGroup

from atheris import FuzzedDataProvider


def make_keys() -> KeySchedule:
    return KeySchedule(Mode.OPPORTUNISTIC, Aead.AES_128_GCM, [bytes(32)], bytes(32))


def bytes_of(count: int) -> bytes:
    """Fixed bytes where random ones belong, so that an input does the same each time."""
    return bytes([count]) * count


WINDOW = 1 << 16
GROUP = NamedGroup.X25519
STEPS = StepSettings(group=GROUP, entropy=bytes_of)
X25519_SHARE = bytes([9]) + bytes(31)  # the base point
OUTGOING_LIMIT = (
    3 * ATTEMPTS_BURST
)  # frames that wait: at most two answers for each StepShare, a Switch, an Abort
STREAM = bytes(range(251)) * (2 * WINDOW // 251 + 1)
STARTS = (0, (1 << EPOCH_SHIFT) - 1000)
FRAMES_LIMIT = (
    4 * UNACKNOWLEDGED_LIMIT
)  # frames that one end may send at once; more means that it never stops


class FuzzedSession:
    """The session, its clock, and a peer that may do anything."""

    def __init__(self, source: FuzzedDataProvider) -> None:
        self.source = source
        self.start = source.PickValueInList(list(STARTS))
        role, self.peer = ("client", "server") if source.ConsumeBool() else ("server", "client")
        scheduler = Scheduler(source.ConsumeIntInRange(1, 3))
        self.session = Session(make_keys(), role, WINDOW, scheduler=scheduler, start=self.start, steps=STEPS)
        self.now, self.received, self.ends = 0.0, self.start, 0
        self.sealers: dict[int, ControlSealer] = {}
        self.sent: list[bytes] = [b"\x11\0\0\0"]
        self.ended = False
        for path in (0, 1):
            self.join(path)

    def join(self, path: int) -> None:
        if self.session.can_add_path(path):
            self.sealers[path] = ControlSealer(make_keys(), self.peer, path)
            self.check_events(self.session.add_path(path, FrameReader(), 0.01, self.now))

    def check_events(self, events: list[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, DataReceived):
                at = self.received - self.start
                assert event.data == STREAM[at : at + len(event.data)], (
                    "delivered bytes that were not sealed for this position"
                )
                self.received += len(event.data)
            self.ends += isinstance(event, SessionClosed | SessionFailed)
        assert self.ends <= 1
        assert self.ends == 0 or self.session.over

    def deliver(self, path: int, data: bytes) -> None:
        self.sent = [*self.sent[-7:], data]
        was_over = self.session.over
        events = self.session.receive(path, data, self.now)
        assert not (was_over and events)
        self.check_events(events)

    def number(self, limit: int) -> int:
        return self.source.ConsumeIntInRange(0, limit)

    def position(self) -> int:
        """A DSN of interest."""
        near = self.start + self.number(2 * WINDOW)
        return near if self.number(9) else self.number((1 << 62) + 1)

    def record(self) -> bytes:
        at, length = self.number(2 * WINDOW), 1 + self.number(2000) ** 2 % RECORD_DATA_LIMIT
        data = STREAM[at : at + length] or b"\0"
        dsn = self.start + at
        return seal(EpochChain(make_keys(), self.peer, dsn >> EPOCH_SHIFT), dsn, data).frame

    def control(self) -> ControlMessage:
        some, at = self.number, self.position()
        acknowledged = at if some(3) else None
        base = acknowledged or 0
        return ControlMessage(
            acknowledged,
            self.position(),
            some(1 << 20),
            self.position() if not some(3) else None,
            some(30) if not some(15) else None,
            tuple((base + n, base + n + 1 + some(90)) for n in range(0, some(31) * 100, 100)),
            some(99) if some(1) else None,
            some(5) if some(1) else None,
            frozenset(self.source.ConsumeBytes(some(3))),
            frozenset(self.source.ConsumeBytes(some(3))) if some(1) else None,
            some(5),
            some(4) if some(1) else None,
            some(5),
            not some(3),
            some(3) if some(1) else None,
            self.position(),
            some(3) if not some(7) else None,
        )

    def sealed_items(self, path: int, items: bytes) -> bytes:
        """Seal arbitrary items under the right key."""
        return self.sealers[path].seal_items(items)

    def step_message(self) -> bytes:
        """A message of a key step, as it should be but for some of its fields."""
        some, step, attempt = self.number, 1 + self.number(2), 1 + self.number(2)
        match some(5):
            case 0:
                share = X25519_SHARE if some(7) else bytes(32)
                return encode_step_share(step, attempt, some(2), some(2), some(2), share)
            case 1:
                return encode_step_answer(step, attempt, some(2), X25519_SHARE)
            case 2:
                return encode_step_nonce(step, attempt, bytes(32))
            case 3:
                return encode_step_binding(step, attempt, bytes(32), bytes(32)) + bytes(32)
            case 4:
                return encode_step_finished(step, attempt, bytes(32))
            case _:
                return self.source.ConsumeBytes(some(80))

    def genuine_step(self) -> None:
        """A step that goes as it should, at its first step: the peer begins it, or the session does."""
        if self.peer == "server":
            self.check_events(self.session.request_step(self.now))
        else:
            attempt = StepAttempt(make_keys(), GROUP, 1, (0, 1), self.start >> EPOCH_SHIFT, bytes_of)
            for path, body in ((0, attempt.share), (1, attempt.nonce)):
                if path in self.sealers:
                    self.deliver(path, self.sealers[path].seal_items(body, STEP_TYPE))

    def step(self) -> None:
        session, source, path = self.session, self.source, self.number(2)
        match self.number(19):
            case 0:
                self.deliver(path, source.ConsumeBytes(self.number(80)))
            case 1 | 2:
                self.deliver(path, self.record())
            case 3 | 4 if path in self.sealers:
                self.deliver(path, self.sealers[path].seal(self.control()))
            case 5 if path in self.sealers:
                self.deliver(path, self.sealed_items(path, source.ConsumeBytes(self.number(120))))
            case 6:
                frame = bytearray(source.PickValueInList(self.sent) or b"\0")
                frame[self.number(len(frame) - 1)] ^= self.number(255)
                self.deliver(path, bytes(frame))
            case 7:
                self.deliver(path, source.PickValueInList(self.sent)[: self.number(50)])
            case 8 if not self.ended:
                session.write(bytes(self.number(1 << 17)))
            case 9 | 10:
                frames = 0
                while frame := session.data_to_send(path, self.now):
                    self.sent = [*self.sent[-7:], frame]
                    frames += 1
                    assert frames < FRAMES_LIMIT
            case 11:
                timer = session.timer()
                assert timer is None or timer > self.now
                self.now = timer if timer is not None and self.number(1) else self.now + self.number(200) / 10
                self.check_events(session.on_timer(self.now))
            case 12:
                session.consume(min(self.number(WINDOW), self.received - session._incoming.consumed))
            case 13:
                self.join(self.number(MAXIMUM_PATHS + 1))
            case 14:
                self.check_events(session.path_lost(path))
            case 15:
                self.request_change(path)
            case 16 | 17 if path in self.sealers:
                self.deliver(path, self.sealers[path].seal_items(self.step_message(), STEP_TYPE))
            case 18:
                self.genuine_step()
            case 19 if path in self.sealers:
                kind = source.PickValueInList([STEP_TYPE, SWITCH_TYPE])
                self.deliver(path, self.sealers[path].seal_items(source.ConsumeBytes(self.number(80)), kind))
            case _:
                return

    def request_change(self, path: int) -> None:
        """Change something as an application may."""
        match self.number(5):
            case 0 if path in self.session.paths and len(self.session.paths) > 1:
                self.check_events(self.session.remove_path(path))
            case 1:
                self.session.set_backup(path, self.source.ConsumeBool())
            case 2:
                self.session.ask_to_rehome()
            case 3:
                self.session.end()
                self.ended = True
            case 4 if not self.number(3):
                self.session.abort()
                self.ends += 1
            case _:
                return

    def check_bounds(self) -> None:
        incoming, out = self.session._incoming, self.session._out
        assert sum(map(len, incoming._waiting.values())) <= WINDOW
        assert len(incoming._waiting) <= UNACKNOWLEDGED_LIMIT
        assert len(out._kept) <= UNACKNOWLEDGED_LIMIT
        assert len(self.session.paths) <= MAXIMUM_PATHS
        for path in self.session._paths.open.values():
            assert path.reader.pending < RECORD_DATA_LIMIT + 64
            assert len(path.outgoing) <= OUTGOING_LIMIT


def one(data: bytes) -> None:
    source = FuzzedDataProvider(data)
    fuzzed = FuzzedSession(source)
    while source.remaining_bytes() and not fuzzed.session.over:
        fuzzed.step()
        fuzzed.check_bounds()
    fuzzed.deliver(0, b"\x10\0\0\0")


if __name__ == "__main__":
    fuzz(one)
