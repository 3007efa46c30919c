"""The open paths of a session: which of them are usable, which is preferred, and when silent ones are closed."""

from collections.abc import Collection

from smkex.core.session.path import NEVER, SILENCE_LIMIT, Path
from smkex.core.session.path_scheduler import SWITCH_RATIO, fastest_path

MAXIMUM_PATHS = 8  # open at once
MAXIMUM_PATH_NUMBER = 255  # numbers are never used twice, so this bounds the joins of a session


class PathSet:
    """Paths by number. Set `changed` whenever the preferred path may be another one."""

    def __init__(self) -> None:
        self.open: dict[int, Path] = {}
        self.used: set[int] = set()
        self.backup: set[int] = set()
        self.peer_backup: Collection[int] = ()
        self.changed = True
        self.current: int | None = None  # the preferred path, as last computed
        self._carried: dict[int, tuple[int, int]] = {}

    def can_add(self, number: int) -> bool:
        fresh = 0 <= number <= MAXIMUM_PATH_NUMBER and number not in self.used
        return fresh and len(self.open) < MAXIMUM_PATHS

    def add_path(self, number: int, path: Path) -> None:
        self.used.add(number)
        self.open[number] = path
        self.changed = True

    def remove_path(self, number: int) -> Path | None:
        """Remove an open path and return it; None if it is not open."""
        path = self.open.pop(number, None)
        if path is not None:
            self._carried[number] = (path.sent, path.received)
            self.backup.discard(number)
            self.changed = True
        return path

    def bytes_transferred(self, number: int) -> tuple[int, int]:
        """Bytes of frames (sent, received) on a path, open or not."""
        path = self.open.get(number)
        return (path.sent, path.received) if path is not None else self._carried.get(number, (0, 0))

    def is_alive(self, number: int, now: float) -> bool:
        """Whether the path is open and not stalled beyond its deadline."""
        path = self.open.get(number)
        return path is not None and not (path.stalled and now >= path.deadline)

    def set_backup(self, number: int, backup: bool) -> None:
        (self.backup.add if backup else self.backup.discard)(number)
        self.changed = True

    def usable_paths(self, without: Collection[int] = ()) -> list[int]:
        """Working paths that are no backups; if there are none, working paths; if there are none, all."""
        there = [number for number in self.open if number not in without]
        working = [number for number in there if not self.open[number].stalled]
        first = [number for number in working if number not in self.backup and number not in self.peer_backup]
        return first or working or there

    def preferred_path(self, without: Collection[int] = ()) -> int | None:
        """Return the fastest usable path, `without` those given."""
        if without:
            return self._fastest(without)
        if self.changed:
            self.changed = False
            self.current = self._fastest()
        return self.current

    def check_for_faster(self) -> None:
        """Set `changed` if another path may be clearly faster than the current one."""
        if self.changed:
            return
        used = self._current_path()
        if used is None or min([path.rtt for path in self.open.values()]) < SWITCH_RATIO * used.rtt:
            self.changed = True

    def follow_peer(self, number: int) -> None:
        """Prefer the path that the peer uses unless another is clearly faster: state then goes along with data."""
        used = self._current_path()
        if used is not None and used.rtt >= SWITCH_RATIO * self.open[number].rtt:
            self.current = number
            self.changed = True  # it may be a backup, or stalled

    def silence_deadline(self) -> float:
        """When a session ends because all its paths have stalled."""
        stalls: list[float] = []
        for path in self.open.values():
            if path.stalled_at is None:
                return NEVER
            stalls.append(path.stalled_at)
        return max(stalls) + SILENCE_LIMIT if stalls else NEVER

    def path_timers(self) -> list[float]:
        """The times at which a path's state, stall or ping is due."""
        times: list[float] = []
        for path in self.open.values():
            times += path.state_due, path.deadline, path.ping_due_at
        return times

    def _current_path(self) -> Path | None:
        return self.open.get(self.current) if self.current is not None else None

    def _fastest(self, without: Collection[int] = ()) -> int | None:
        return fastest_path(
            {number: self.open[number].rtt for number in self.usable_paths(without)}, self.current
        )
