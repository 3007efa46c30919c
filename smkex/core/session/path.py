"""One subflow of a session: what was sent on it and not confirmed, its latency, and whether it stalls.

A subflow delivers in order. So when something sent later on it is confirmed, everything before it should have
arrived; a record that did not was taken out by somebody on the way.
"""

from collections import deque
from dataclasses import dataclass, field

from smkex.core.session.control import ControlOpener, ControlSealer
from smkex.core.session.record import SealedRecord
from smkex.core.wire.frame import RECORD_DATA_LIMIT, FrameReader

STALL_FLOOR = 0.04  # seconds: below it one would measure the timers of both ends, not the path
STALL_CEILING = 1.0
ACKNOWLEDGE_DELAY = (0.001, 0.02)  # seconds, least and most, until received bytes are acknowledged
PING_EVERY = 5.0  # seconds without a sign from the other end
STALLED_LIMIT = 10.0  # seconds a stalled path is kept while another works
SILENCE_LIMIT = (
    120.0  # seconds a session is kept when all its paths stall: a tunnel, not a client that is gone
)


NEVER = float("inf")
NEAR = 0.001  # seconds of round trip, below which a further one costs nobody anything
RECORD_FIRST = 14_000  # bytes of a record that, frame and all, fits in an initial window (RFC 6928)


def record_limit(shortest: float) -> int:
    """How large a record may be on a path whose round trip takes `shortest` seconds without queues.

    It counts only when it is whole. Sent again on a path that has carried nothing yet, one that exceeds the initial
    window takes a round trip more, or several; so only what is near gets large ones, which cost less.
    """
    return RECORD_DATA_LIMIT if shortest < NEAR else RECORD_FIRST


@dataclass(slots=True)
class Sent:
    """Something that the other end confirms: a record, or a ping that stated version `version`."""

    at: float
    record: SealedRecord | None = None
    ping: int = 0
    version: int = 0


@dataclass(slots=True)
class Path:
    """The state of one subflow. Times are seconds of the driver's clock."""

    sealer: ControlSealer
    opener: ControlOpener
    reader: FrameReader
    rtt: float
    progress_at: float
    wavering: float = 0.0  # of the round-trip time: RFC 6298's RTTVAR
    outgoing: deque[bytes] = field(default_factory=deque)
    outstanding: deque[Sent] = field(default_factory=deque)
    state_due: float = NEVER
    ping_due: bool = False
    pong: int | None = None
    ponged: int = 0
    stalled_at: float | None = None
    position: int = 0
    pings: int = 0  # of `outstanding`
    sent: int = 0
    received: int = 0
    shortest: float = field(init=False)  # round-trip time that was measured: without queues, that is
    patience: float = field(init=False)  # seconds without progress after which the path stalls

    def __post_init__(self) -> None:
        self.shortest = self.rtt
        self._set_patience()

    @property
    def stalled(self) -> bool:
        return self.stalled_at is not None

    @property
    def acknowledge_delay(self) -> float:
        """Seconds that an acknowledgement may wait for more to acknowledge: little of the sender's patience."""
        least, most = ACKNOWLEDGE_DELAY
        return min(max(self.rtt / 4, least), most)

    @property
    def deadline(self) -> float:
        """When the path stalls, or is given up when it has, unless there is progress."""
        if self.stalled_at is not None:
            return self.stalled_at + STALLED_LIMIT
        if not self.outstanding:
            return NEVER
        return max(self.progress_at, self.outstanding[0].at) + self.patience

    @property
    def ping_at(self) -> float:
        """When to ask for a sign, if none comes by itself."""
        return NEVER if self.ping_due or self.pings else self.progress_at + PING_EVERY

    def due(self, when: float) -> None:
        """A control message with the state goes out on this path at `when`."""
        if when < self.state_due:
            self.state_due = when

    def note_record(self, number: int, record: SealedRecord, now: float) -> None:
        record.paths.add(number)
        record.copies += 1
        record.sent_at = now
        self.outstanding.append(Sent(now, record))

    def note_ping(self, number: int, version: int, now: float) -> None:
        self.outstanding.append(Sent(now, ping=number, version=version))
        self.pings += 1

    def settle(self, now: float, horizon: float, *, timed: bool) -> tuple[bool, int]:
        """Take out what is confirmed; return (whether the path left a record out, newest version confirmed).

        `horizon` is the DSN from which the other end has not said what it received; `timed` when the
        confirmation came back on this very path, and so measures it.
        """
        newest: Sent | None = None
        version = 0
        gap = left_out = False
        kept: deque[Sent] = deque()
        for sent in self.outstanding:
            record = sent.record
            if record is None:
                if sent.ping > self.ponged:
                    kept.append(sent)
                    continue
                version = sent.version
            elif not record.arrived:
                gap = gap or record.dsn < horizon
                kept.append(sent)
                continue
            elif record.copies > 1:
                continue  # it may have come by another path
            newest = sent
            left_out = gap
            if self.pings:
                kept = deque(one for one in kept if one.record is not None)
        self.pings = sum(one.record is None for one in kept) if self.pings else 0
        self.outstanding = kept
        if newest is not None:
            self.progress_at = now
            if timed:
                self._measure(now - newest.at)
                self.stalled_at = None
        return left_out, version

    def _set_patience(self) -> None:
        """Two round trips, more where they waver (RFC 6298), a second at most.

        An end that is busy answers sometimes at once and sometimes late, which is no stall.
        """
        wanted = max(2 * self.rtt, self.rtt + 4 * self.wavering, STALL_FLOOR)
        self.patience = min(wanted, STALL_CEILING)

    def _measure(self, sample: float) -> None:
        """Smooth the round-trip time and how it wavers (RFC 6298 section 2.3), quicker upwards: patience follows it.

        No sample counts for more than double the patience: how long a path was away is not its latency, but
        patience that was too short grows.
        """
        sample = max(sample, 0.0)
        self.shortest = min(self.shortest, sample)
        change = min(sample, 2 * self.patience) - self.rtt
        self.wavering += (abs(change) - self.wavering) / 4
        self.rtt += change / (4 if change > 0 else 8)
        self._set_patience()
