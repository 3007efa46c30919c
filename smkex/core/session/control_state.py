"""The control state of one end: what it reports to the other, what it has reported, and what was acknowledged.

State that must arrive has a version. A ping sent with it confirms that version once it is answered; until then, every
message repeats the state. Paths deliver in any order, so values that can change to and fro carry the version: an older
one that comes later changes nothing.
"""

from typing import Final

from smkex.core.errors import MisusedStream
from smkex.core.session.control_message import (
    RANGES_LIMIT,
    WAITED_LIMIT,
    ControlMessage,
    encode_acknowledgement,
)
from smkex.core.session.path import NEVER, Path
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.session.receiving_stream import ReceivingStream

REMOVED_LIMIT: Final = 16  # removals reported in one message: more than can be open


class ControlState:
    """`role` is "client" or "server"; only the client states a scheduler, only the server asks to rehome."""

    def __init__(self, role: str, window: int, scheduler: Scheduler, start: int) -> None:
        self._role = role
        self.scheduler = scheduler
        self.rehome = False
        self.step: int | None = None  # of the records that this end sends from `step_from` on
        self.step_from = 0
        self.step_wanted: int | None = None
        self.reported = start  # the acknowledgement that was sent last
        self._reported_limit = start + window
        self._removed: list[int] = []
        self._version = 1 if scheduler is not Scheduler.LOWEST_LATENCY else 0
        self._confirmed = 0
        self._pings = 0
        self._peer_backup_state = self._peer_scheduler_state = -1  # newest applied

    @property
    def unconfirmed(self) -> bool:
        return self._version > self._confirmed

    def bump_version(self) -> None:
        """Repeat the state until a ping sent with it is answered."""
        self._version += 1

    def confirm_version(self, version: int) -> None:
        self._confirmed = max(self._confirmed, version)

    def begin_step(self, step: int, step_from: int) -> None:
        """State from which DSN on this end's records are sealed under key step `step`."""
        self.step, self.step_from = step, step_from
        self.step_wanted = None
        self._version += 1

    def add_removed(self, number: int) -> None:
        self._removed = [*self._removed[1 - REMOVED_LIMIT :], number]

    def report_limit(self, limit: int, window: int) -> bool:
        """Whether the receive limit has grown so far that it must be reported by itself."""
        if limit - self._reported_limit < window // 4:
            return False
        self._reported_limit = limit
        return True

    def accept_pong(self, path: Path, pong: int) -> None:
        """Raises `MisusedStream` for a ping that was never sent."""
        if pong > self._pings:
            raise MisusedStream("the peer answered a ping that was never sent")
        path.highest_pong = max(path.highest_pong, pong)

    def is_new_backup(self, message: ControlMessage) -> bool:
        """Whether a message states backup paths newer than all before; note it."""
        if message.backup is None or message.backup_state <= self._peer_backup_state:
            return False
        self._peer_backup_state = message.backup_state
        return True

    def is_new_scheduler(self, message: ControlMessage) -> bool:
        """Whether a message to an edge states a scheduler newer than all before; note it."""
        if message.scheduler is None or self._role != "server":
            return False
        if message.scheduler_state <= self._peer_scheduler_state:
            return False
        self._peer_scheduler_state = message.scheduler_state
        return True

    def build_items(
        self, path: Path, incoming: ReceivingStream, final: int | None, backup: frozenset[int], now: float
    ) -> bytes:
        """Build the message for `path`. State is absolute, so the newest message replaces all before."""
        path.state_due = NEVER
        unconfirmed = self._version > self._confirmed
        ping = None
        if path.ping_due or (unconfirmed and not self._is_on_its_way(path)):
            self._pings += 1
            ping = self._pings
            path.ping_due = False
            path.track_ping(ping, self._version, now)
        pong, path.pong = path.pong, None
        self.reported = incoming.acknowledgement
        ranges = incoming.ranges(RANGES_LIMIT)
        waited = min(max(int((now - path.heard_at) * 1e6), 0), WAITED_LIMIT)
        if not unconfirmed:
            if final is None and not ranges and ping is None and pong is None:  # common case
                return encode_acknowledgement(self.reported, incoming.limit, waited)
            return ControlMessage(
                self.reported, incoming.limit, waited, final, ranges=ranges, ping=ping, pong=pong
            ).encode()
        return ControlMessage(
            self.reported,
            incoming.limit,
            waited,
            final,
            ranges=ranges,
            ping=ping,
            pong=pong,
            removed=frozenset(self._removed),
            backup=backup,
            backup_state=self._version,
            scheduler=self.scheduler if self._role == "client" else None,
            scheduler_state=self._version,
            rehome=self.rehome,
            step=self.step,
            step_from=self.step_from,
            step_wanted=self.step_wanted,
        ).encode()

    def _is_on_its_way(self, path: Path) -> bool:
        """Whether `path` carries a ping that confirms the newest version."""
        return any(sent.version == self._version for sent in path.outstanding)
