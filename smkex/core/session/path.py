"""One subflow of a session: its unconfirmed transmissions, its latency, and whether it stalls.

A subflow delivers in order. When a later transmission on it is confirmed, every earlier one must have arrived; a
record that did not was removed by an attacker on the path.
"""

from typing import Final

from smkex.core.session.control_message import ControlOpener, ControlSealer
from smkex.core.session.record import SealedRecord
from smkex.core.wire.frame import RECORD_DATA_LIMIT
from smkex.core.wire.frame_reader import FrameReader

ACKNOWLEDGE_DELAY: Final = (
    0.025  # seconds until received bytes are acknowledged: part of the sender's patience
)
STALL_FLOOR: Final = 0.04  # seconds: below it, how busy both ends are dominates the round trip
STALL_CEILING: Final = 1.0  # seconds
BASE_INTERVAL: Final = (
    0.5  # seconds: the lowest round trip of two such intervals is compared with other paths'
)
ESTIMATE_LIFETIME: Final = 2.0  # seconds after which a round trip that was measured says little
LOADED_LIFETIME: Final = (
    30.0  # seconds for which a path that was left is taken to be as slow as with data on it
)
QUEUE_LENGTH: Final = 64 << 10  # unconfirmed bytes from which a path's latency is that of their queue
QUEUE_GROWTH: Final = 3  # times that the queue's latency may still grow
PING_INTERVAL: Final = 5.0  # seconds without progress after which a ping is sent
STALLED_LIMIT: Final = 10.0  # seconds a stalled path is kept while another works
# seconds a session is kept while all its paths stall: long enough for a tunnel
SILENCE_LIMIT: Final = 120.0
NEVER: Final = float("inf")
NEAR_RTT: Final = 0.001  # seconds: below this round trip, one more costs nothing noticeable
# bytes of a record whose frame fits in TCP's initial window (RFC 6928)
INITIAL_WINDOW_RECORD_LIMIT: Final = 14_000


def record_limit(min_rtt: float) -> int:
    """Return the largest record for a path whose round trip takes `min_rtt` seconds without queues.

    A record is usable only when whole. Retransmitted on an idle path, one larger than the initial window takes further
    round trips; so only near paths get large records, which cost less.
    """
    return RECORD_DATA_LIMIT if min_rtt < NEAR_RTT else INITIAL_WINDOW_RECORD_LIMIT


class Transmission:
    """A record, or a ping that carried state version `version`, until the other end confirms it."""

    __slots__ = ("at", "ping", "record", "version")

    def __init__(self, at: float, record: SealedRecord | None, ping: int, version: int) -> None:
        self.at = at
        self.record = record
        self.ping = ping
        self.version = version


class Path:
    """The state of one subflow. Times are seconds of the driver's clock; `NEVER` where something is not the case."""

    __slots__ = (
        "_interval_began",
        "_lowest",
        "_lowest_before",
        "base",
        "heard_at",
        "highest_pong",
        "ingress",
        "joined_step",
        "loaded",
        "loaded_until",
        "measured_at",
        "min_rtt",
        "opener",
        "outgoing",
        "outstanding",
        "ping_due",
        "pings",
        "pong",
        "position",
        "progress_at",
        "reader",
        "received",
        "rtt",
        "rttvar",
        "sealer",
        "sent",
        "stall_timeout",
        "stalled_at",
        "state_due",
        "unordered",
        "version",
    )

    def __init__(
        self,
        sealer: ControlSealer,
        opener: ControlOpener,
        reader: FrameReader,
        rtt: float,
        now: float,
        position: int = 0,
        ingress: int = 0,
        joined_step: int = -1,
    ) -> None:
        self.sealer = sealer
        self.opener = opener
        self.ingress = ingress  # id of the edge where it enters the CDN, 0 where that is not known
        self.joined_step = joined_step  # key step under which it joined, -1 for the paths of the key exchange
        self.reader = reader
        self.rtt = rtt
        self.rttvar = 0.0  # seconds: RTTVAR of RFC 6298
        self.min_rtt = rtt  # seconds: lowest measured round trip, without queues
        self.measured_at = now
        self.base = rtt  # seconds: lowest round trip measured lately, to compare paths by
        self._lowest = self._lowest_before = rtt  # of the current interval and the one before
        self._interval_began = now
        self.loaded = 0.0  # seconds: what it was under load, which counts until `loaded_until`
        self.loaded_until = -NEVER
        self.progress_at = now
        self.heard_at = now  # when a record or ping last came on it
        self.stalled_at = NEVER
        self.state_due = NEVER
        self.outgoing: list[bytes] = []
        self.outstanding: list[Transmission] = []
        self.unordered = False  # whether `outstanding` may hold a record behind one of a higher DSN
        self.pings = 0  # of `outstanding`
        self.ping_due = False
        self.pong: int | None = None
        self.highest_pong = 0
        self.version = 0  # newest state version that was confirmed on it
        self.position = position
        self.sent = 0
        self.received = 0
        self.stall_timeout = 0.0  # seconds without progress after which the path stalls
        self._update_stall_timeout()

    @property
    def stalled(self) -> bool:
        return self.stalled_at != NEVER

    @property
    def deadline(self) -> float:
        """When the path stalls, or when a stalled path is closed, unless there is progress."""
        if self.stalled_at != NEVER:
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
        record.paths |= 1 << number
        record.copies += 1
        record.sent_at = now
        if record.copies > 1:
            self.unordered = True
        self.outstanding.append(Transmission(now, record, 0, 0))

    def track_ping(self, number: int, version: int, now: float) -> None:
        self.outstanding.append(Transmission(now, None, number, version))
        self.pings += 1

    def discard_outstanding(self) -> None:
        """Forget what was sent: no confirmation of it counts any more."""
        self.outstanding.clear()
        self.pings = 0

    def confirm_outstanding(self, now: float, horizon: int, answered_at: float, *, in_order: bool) -> bool:
        """Remove what is confirmed; return whether a record is missing.

        `horizon` is the DSN from which the other end has not reported what it received; `in_order` that it has
        reported nothing beyond the first missing byte. A confirmation that arrived on this path measures its round
        trip: `answered_at` is when it would have arrived if it had not waited, `NEVER` where it arrived on another.
        """
        outstanding = self.outstanding
        newest = -NEVER  # when the newest confirmed transmission was sent
        confirmed = 0
        for sent in outstanding:  # common case: records in order, of which the first are confirmed
            record = sent.record
            if record is None or not record.arrived:
                break
            confirmed += 1
            if record.copies == 1:  # another may have arrived on another path
                newest = sent.at
        if confirmed:
            del outstanding[:confirmed]
        record_missing = False
        if outstanding and (self.pings or self.unordered or not in_order):
            gap = False
            kept: list[Transmission] = []
            for sent in outstanding:
                record = sent.record
                if record is None:
                    if sent.ping > self.highest_pong:
                        kept.append(sent)
                        continue
                    self.version = sent.version
                elif not record.arrived:
                    gap = gap or record.dsn < horizon
                    kept.append(sent)
                    continue
                elif record.copies > 1:
                    continue
                newest = sent.at
                record_missing = gap
                if self.pings:
                    kept = [one for one in kept if one.record is not None]
            self.pings = sum([one.record is None for one in kept])
            self.outstanding = kept
        if not self.outstanding:
            self.unordered = False
        if newest > -NEVER:
            self.progress_at = now
            if answered_at != NEVER:
                self._update_rtt(answered_at - newest, now)
                self.stalled_at = NEVER
        return record_missing

    def latency(self, now: float) -> float:
        """Return the round trip to compare with that of other paths, with what the session's own data may add."""
        return max(self.base, self.loaded) if now < self.loaded_until else self.base

    def has_fresh_estimate(self, now: float) -> bool:
        """Whether the round trip was measured lately."""
        return now - self.measured_at <= ESTIMATE_LIFETIME

    def leave(self, now: float) -> None:
        """Another path is used from now on: if it was the session's own data that made this one slow, remember that.

        It empties now and looks fast, and would be slow again. It is left while its queue still grows: hence the
        factor.
        """
        waiting = sum(
            [sent.record.end - sent.record.dsn for sent in self.outstanding if sent.record is not None]
        )
        if waiting > QUEUE_LENGTH:
            self.loaded, self.loaded_until = QUEUE_GROWTH * self.base, now + LOADED_LIFETIME

    def ask_for_estimate(self) -> None:
        """Ping the path now, unless a ping is on its way."""
        if not self.pings:
            self.ping_due = True
            self.state_due = -NEVER

    def _update_stall_timeout(self) -> None:
        """Set it to two round trips, more with high variance (RFC 6298), and what the other end may wait.

        It is at most STALL_CEILING. A busy end answers with varying delay, which is not a stall.
        """
        wanted = max(max(2 * self.rtt, self.rtt + 4 * self.rttvar), STALL_FLOOR) + ACKNOWLEDGE_DELAY
        self.stall_timeout = min(wanted, STALL_CEILING)

    def _update_rtt(self, sample: float, now: float) -> None:
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
        self._update_base(sample, now)

    def _update_base(self, sample: float, now: float) -> None:
        """Take the lowest sample of this interval and the one before: a busy moment makes no path slow."""
        since = now - self._interval_began
        if since < BASE_INTERVAL:
            self._lowest = min(self._lowest, sample)
        else:
            self._lowest_before = self._lowest if since < 2 * BASE_INTERVAL else sample
            self._lowest = sample
            self._interval_began = now
        self.base = min(self._lowest, self._lowest_before)
        self.measured_at = now
