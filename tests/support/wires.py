"""Two ends of a session and a wire per path between them, on a clock that only the test moves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from smkex.core.events import DataReceived, PathDropped, SessionEvent
from smkex.core.keys.epoch_chain import EpochChain
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.session.key_steps import StepSettings
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.session import Session
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Aead, Mode

_transcripts = count()
OTHER = {"client": "server", "server": "client"}
QUEUE = 192 << 10  # bytes a wire takes before its sender must wait


def fresh_keys() -> KeySchedule:
    """Of a session that no other in this run shares keys with."""
    return _keys_of(next(_transcripts).to_bytes(32, "big"))


def same_keys(keys: KeySchedule) -> KeySchedule:
    """The schedule of the other end, or of who looks on: a session takes roots out of its own."""
    return _keys_of(keys.th)


def data_chain(keys: KeySchedule, sender: str, epoch: int = 0) -> EpochChain:
    """The data keys of `sender`, for a test that knows the schedule's secrets."""
    return EpochChain(same_keys(keys), sender, epoch)


def _keys_of(th: bytes) -> KeySchedule:
    return KeySchedule(Mode.OPPORTUNISTIC, Aead.AES_128_GCM, [bytes(32)], th)


# what stands on a wire: (sender, number of the frame on this wire, frame) -> frames that go on; None cuts the wire
Hand = Callable[[str, int, bytes], list[bytes] | None]


@dataclass
class Wire:
    """One subflow: delivers in order, `delay` seconds after it was sent, at `rate` bytes a second."""

    delay: float
    rate: float = 50e6
    hand: Hand = lambda sender, number, frame: [frame]
    blackhole: bool = False
    cut: bool = False
    count: dict[str, int] = field(default_factory=lambda: {"client": 0, "server": 0})
    queued: dict[str, int] = field(default_factory=lambda: {"client": 0, "server": 0})
    free_at: dict[str, float] = field(default_factory=lambda: {"client": 0.0, "server": 0.0})
    held: list[tuple[str, bytes]] = field(default_factory=list)


class Net:
    """Both ends, driven by time: `run` until nothing but pings would happen, or until `until`."""

    def __init__(
        self,
        *delays: float,
        scheduler: Scheduler = Scheduler.LOWEST_LATENCY,
        start: int = 0,
        window: int = 8 << 20,
        cut: int = 1 << 20,
        steps: StepSettings | None = None,
    ) -> None:
        self.now = 0.0
        self.keys = fresh_keys()
        self.ends = {
            "client": Session(
                same_keys(self.keys), "client", window, scheduler=scheduler, start=start, steps=steps
            ),
            "server": Session(same_keys(self.keys), "server", window, start=start, steps=steps),
        }
        self.wires = {path: Wire(delay) for path, delay in enumerate(delays)}
        self.events: dict[str, list[SessionEvent]] = {"client": [], "server": []}
        self.times: dict[str, list[float]] = {"client": [], "server": []}
        self.carried: list[tuple[float, str, int, bytes]] = []
        self.cut = cut
        self.reading = True
        self._soon: list[tuple[float, int, str, int, bytes | None]] = []
        self._order = 0
        for path, wire in self.wires.items():
            self.join(path, wire)

    @property
    def client(self) -> Session:
        return self.ends["client"]

    @property
    def server(self) -> Session:
        return self.ends["server"]

    def join(self, path: int, wire: Wire, join: bytes = b"", step: int = 0) -> None:
        """Add a path at both ends; each enters the CDN at an edge of its own."""
        self.wires[path] = wire
        for name, end in self.ends.items():
            reader = FrameReader()
            events = end.add_path(path, reader, 2 * wire.delay, self.now, join, ingress=path + 1, step=step)
            self._note(name, events)

    def request_step(self, name: str) -> None:
        """Ask one end for a key step."""
        self._note(name, self.ends[name].request_step(self.now))

    def run(self, until: float = 120.0, *, done: Callable[[], bool] = lambda: False) -> None:
        """Move the clock to `until`, or to when both ends are over, or `done()`."""
        self._pump()
        while not done() and not (self.client.over and self.server.over and not self._soon):
            times = [t for end in self.ends.values() if not end.over and (t := end.timer()) is not None]
            if self._soon:
                times.append(self._soon[0][0])
            if not times or min(times) > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, min(times))
            while self._soon and self._soon[0][0] <= self.now:
                self._arrive()
            for name, end in self.ends.items():
                self._note(name, end.on_timer(self.now))
            self._pump()

    def come_back(self, path: int) -> None:
        """What a blackhole held arrives after all, as TCP would send it again."""
        wire = self.wires[path]
        wire.blackhole = False
        for sender, frame in wire.held:
            self._put(self.now + wire.delay, OTHER[sender], path, frame)
        wire.held.clear()

    def received(self, name: str) -> bytes:
        return b"".join(event.data for event in self.events[name] if isinstance(event, DataReceived))

    def kinds(self, name: str, kind: type) -> list[SessionEvent]:
        return [event for event in self.events[name] if isinstance(event, kind)]

    # --- inside

    def _pump(self) -> None:
        for name, end in self.ends.items():
            for path in [p for p in self.wires if p in end.paths]:
                wire = self.wires[path]
                while wire.queued[name] < QUEUE and (frame := end.data_to_send(path, self.now)):
                    self._send(name, path, wire, frame)

    def _send(self, name: str, path: int, wire: Wire, frame: bytes) -> None:
        self.carried.append((self.now, name, path, frame))
        number = wire.count[name]
        wire.count[name] += 1
        changed = None if wire.cut else wire.hand(name, number, frame)
        if changed is None:
            if not wire.cut:
                wire.cut = True
                for other in self.ends:
                    self._put(self.now + wire.delay, other, path, None)
            return
        for part in changed:
            wire.queued[name] += len(part)
            if wire.blackhole:
                wire.held.append((name, part))
                continue
            wire.free_at[name] = max(self.now, wire.free_at[name]) + len(part) / wire.rate
            self._put(wire.free_at[name] + wire.delay, OTHER[name], path, part)

    def _put(self, at: float, name: str, path: int, frame: bytes | None) -> None:
        self._order += 1
        heappush(self._soon, (at, self._order, name, path, frame))

    def _arrive(self) -> None:
        _, _, name, path, frame = heappop(self._soon)
        end = self.ends[name]
        if frame is None:
            self._note(name, end.path_lost(path))
            return
        self.wires[path].queued[OTHER[name]] -= len(frame)
        for at in range(0, len(frame), self.cut):
            self._note(name, end.receive(path, frame[at : at + self.cut], self.now))

    def _note(self, name: str, events: list[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, DataReceived) and self.reading:
                self.ends[name].consume(len(event.data))
            if isinstance(event, PathDropped) and event.path in self.wires:
                # its driver closes the subflow, which the other end sees a moment later
                wire = self.wires[event.path]
                if not wire.cut:
                    if event.last_word:
                        self._put(self.now + wire.delay, OTHER[name], event.path, event.last_word)
                    wire.cut = True
                    self._put(self.now + wire.delay, OTHER[name], event.path, None)
            self.times[name] += [self.now] * isinstance(event, DataReceived)
        self.events[name] += events
