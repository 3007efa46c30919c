"""One subflow of a session: its unconfirmed transmissions, its latency, and whether it stalls.

A subflow delivers in order. When a later transmission on it is confirmed, every earlier one must have arrived; a
record that did not was removed by an attacker on the path.
"""

from collections import deque
from dataclasses import dataclass, field

from smkex.core.session.control_message import ControlOpener, ControlSealer
from smkex.core.session.record import SealedRecord
from smkex.core.wire.frame import RECORD_DATA_LIMIT
from smkex.core.wire.frame_reader import FrameReader

STALL_FLOOR = 0.04  # seconds: below it, timers of both ends dominate the round trip
STALL_CEILING = 1.0  # seconds
ACKNOWLEDGE_DELAY = (0.001, 0.02)  # seconds, minimum and maximum, until received bytes are acknowledged
PING_INTERVAL = 5.0  # seconds without progress after which a ping is sent
STALLED_LIMIT = 10.0  # seconds a stalled path is kept while another works
# seconds a session is kept while all its paths stall: long enough for a tunnel
SILENCE_LIMIT = 120.0
NEVER = float("inf")
NEAR_RTT = 0.001  # seconds: below this round trip, one more costs nothing noticeable
# bytes of a record whose frame fits in TCP's initial window (RFC 6928)
INITIAL_WINDOW_RECORD_LIMIT = 14_000


def record_limit(min_rtt: float) -> int:
    """Return the largest record for a path whose round trip takes `min_rtt` seconds without queues.

    A record is usable only when whole. Retransmitted on an idle path, one larger than the initial window takes further
    round trips; so only near paths get large records, which cost less.
    """
    return RECORD_DATA_LIMIT if min_rtt < NEAR_RTT else INITIAL_WINDOW_RECORD_LIMIT


@dataclass(slots=True)
class Transmission:
    """A record, or a ping that carried state version `version`, until the other end confirms it."""

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
    rttvar: float = 0.0  # seconds: RTTVAR of RFC 6298
    outgoing: deque[bytes] = field(default_factory=deque)
    outstanding: deque[Transmission] = field(default_factory=deque)
    state_due: float = NEVER
    ping_due: bool = False
    pong: int | None = None
    highest_pong: int = 0
    stalled_at: float | None = None
    position: int = 0
    heard_at: float = field(init=False)  # when a record or ping last came on it
    pings: int = 0  # of `outstanding`
    sent: int = 0
    received: int = 0
    min_rtt: float = field(init=False)  # seconds: lowest measured round trip, without queues
    stall_timeout: float = field(init=False)  # seconds without progress after which the path stalls

    def __post_init__(self) -> None:
        self.min_rtt = self.rtt
        self.heard_at = self.progress_at
        self._update_stall_timeout()

    @property
    def stalled(self) -> bool:
        return self.stalled_at is not None

    @property
    def acknowledge_delay(self) -> float:
        """Seconds to delay an acknowledgement: a quarter of the round trip, well below the sender's stall timeout."""
        least, most = ACKNOWLEDGE_DELAY
        return min(max(self.rtt / 4, least), most)

    @property
    def deadline(self) -> float:
        """When the path stalls, or when a stalled path is closed, unless there is progress."""
        if self.stalled_at is not None:
            return self.stalled_at + STALLED_LIMIT
        if not self.outstanding:
            return NEVER
        return max(self.progress_at, self.outstanding[0].at) + self.stall_timeout

    @property
    def ping_due_at(self) -> float:
        """When to ping the path, unless there is progress before."""
        return NEVER if self.ping_due or self.pings else self.progress_at + PING_INTERVAL

    def schedule_state(self, when: float) -> None:
        """Send a control message with the state on this path at `when` or earlier."""
        if when < self.state_due:
            self.state_due = when

    def track_record(self, number: int, record: SealedRecord, now: float) -> None:
        record.paths.add(number)
        record.copies += 1
        record.sent_at = now
        self.outstanding.append(Transmission(now, record))

    def track_ping(self, number: int, version: int, now: float) -> None:
        self.outstanding.append(Transmission(now, ping=number, version=version))
        self.pings += 1

    def discard_outstanding(self) -> None:
        """Forget what was sent: no confirmation of it counts any more."""
        self.outstanding.clear()
        self.pings = 0

    def confirm_outstanding(self, now: float, horizon: float, answered_at: float | None) -> tuple[bool, int]:
        """Remove what is confirmed; return (whether a record is missing, newest state version confirmed).

        `horizon` is the DSN from which the other end has not reported what it received. A confirmation that arrived on
        this path measures its round trip: `answered_at` is when it would have arrived if it had not waited.
        """
        newest: Transmission | None = None
        version = 0
        gap = record_missing = False
        kept: deque[Transmission] = deque()
        for sent in self.outstanding:
            record = sent.record
            if record is None:
                if sent.ping > self.highest_pong:
                    kept.append(sent)
                    continue
                version = sent.version
            elif not record.arrived:
                gap = gap or record.dsn < horizon
                kept.append(sent)
                continue
            elif record.copies > 1:
                continue  # it may have arrived on another path
            newest = sent
            record_missing = gap
            if self.pings:
                kept = deque(one for one in kept if one.record is not None)
        self.pings = sum(one.record is None for one in kept) if self.pings else 0
        self.outstanding = kept
        if newest is not None:
            self.progress_at = now
            if answered_at is not None:
                self._update_rtt(answered_at - newest.at)
                self.stalled_at = None
        return record_missing, version

    def _update_stall_timeout(self) -> None:
        """Set it to two round trips, more with high variance (RFC 6298), at most STALL_CEILING.

        A busy end answers with varying delay, which is not a stall.
        """
        wanted = max(2 * self.rtt, self.rtt + 4 * self.rttvar, STALL_FLOOR)
        self.stall_timeout = min(wanted, STALL_CEILING)

    def _update_rtt(self, sample: float) -> None:
        """Smooth the round-trip time and its variance (RFC 6298 section 2.3), faster upwards, and update the timeout.

        A sample counts for at most twice the stall timeout: an outage is not latency, but a timeout that was too short
        grows.
        """
        sample = max(sample, 0.0)
        self.min_rtt = min(self.min_rtt, sample)
        change = min(sample, 2 * self.stall_timeout) - self.rtt
        self.rttvar += (abs(change) - self.rttvar) / 4
        self.rtt += change / (4 if change > 0 else 8)
        self._update_stall_timeout()
