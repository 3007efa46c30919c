"""The open paths of a session: which of them are usable, which is preferred, and when silent ones are closed."""

from collections.abc import Collection
from typing import Final

from smkex.core.session.path import NEVER, SILENCE_LIMIT, Path
from smkex.core.session.path_scheduler import fastest_path, is_clearly_faster

MAXIMUM_PATHS: Final = 8  # open at once
MAXIMUM_PATH_NUMBER: Final = 255  # numbers are never used twice, so this bounds the joins of a session


class PathSet:
    """Paths by number. Set `changed` whenever the preferred path may not be usable any more, or another one is."""

    def __init__(self) -> None:
        self.open: dict[int, Path] = {}
        self.used = b""  # a byte each
        self.backup: frozenset[int] = frozenset()
        self.peer_backup: Collection[int] = ()
        self.peer_removed: frozenset[int] = frozenset()  # as the peer stated: their end is no failure
        self.changed = True
        self.current: int | None = None  # the preferred path, as last computed
        self._carried: dict[int, tuple[int, int]] = {}

    def can_add(self, number: int) -> bool:
        fresh = 0 <= number <= MAXIMUM_PATH_NUMBER and number not in self.used
        return fresh and len(self.open) < MAXIMUM_PATHS

    def add_path(self, number: int, path: Path) -> None:
        self.used += bytes((number,))
        self.open[number] = path
        self.changed = True

    def remove_path(self, number: int) -> Path | None:
        """Remove an open path and return it; None if it is not open."""
        path = self.open.pop(number, None)
        if path is not None:
            self._carried[number] = (path.sent, path.received)
            self.backup -= {number}
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
        self.backup = self.backup | {number} if backup else self.backup - {number}
        self.changed = True

    def usable_paths(self, without: Collection[int] = ()) -> list[int]:
        """Working paths that are no backups; if there are none, working paths; if there are none, all."""
        there = [number for number in self.open if number not in without]
        working = [number for number in there if not self.open[number].stalled]
        first = [number for number in working if number not in self.backup and number not in self.peer_backup]
        return first or working or there

    def preferred_path(self, without: Collection[int] = ()) -> int | None:
        """Return the path for new records; `without` those given, the fastest of the others."""
        if without:
            return self._fastest(without)
        if self.changed:
            self.changed = False
            if self.current not in self.usable_paths():
                self.current = self._fastest()
        return self.current

    def check_for_faster(self, now: float) -> None:
        """Prefer another path that is clearly faster than the current one.

        The latency of the current path includes what its queues add, that of an idle one may have changed since it was
        measured: it is measured again before it is preferred.
        """
        self.preferred_path()  # of the usable ones
        used = self.current_path()
        if used is None:
            return
        best: int | None = None
        lowest = used.base
        for number, path in self.open.items():
            latency = path.latency(now)
            if latency >= lowest or not is_clearly_faster(latency, used.base) or not self._is_usable(number):
                continue
            if path.has_fresh_estimate(now):
                best, lowest = number, latency
            else:
                path.ask_for_estimate()
        if best is not None:
            used.leave(now)
            self.current = best

    def follow_peer(self, number: int, now: float) -> None:
        """Prefer the path that the peer uses unless another is clearly faster: state then goes along with data."""
        used = self.current_path()
        if used is None or not self._is_usable(number):
            return
        if not is_clearly_faster(used.base, self.open[number].base):
            used.leave(now)
            self.current = number

    def silence_deadline(self) -> float:
        """When a session ends because all its paths have stalled."""
        newest = -NEVER
        for path in self.open.values():
            if path.stalled_at == NEVER:
                return NEVER
            newest = max(newest, path.stalled_at)
        return newest + SILENCE_LIMIT if newest > -NEVER else NEVER

    def next_timer(self, now: float) -> float:
        """The first time after `now` at which a path's state, stall or ping is due; NEVER if there is none."""
        soonest = NEVER
        for path in self.open.values():
            at = path.state_due  # one by one: a tuple of them would cost three objects for each record
            if now < at < soonest:
                soonest = at
            at = path.deadline
            if now < at < soonest:
                soonest = at
            at = path.ping_due_at
            if now < at < soonest:
                soonest = at
        return soonest

    def current_path(self) -> Path | None:
        return self.open.get(self.current) if self.current is not None else None

    def _is_usable(self, number: int) -> bool:
        working = not self.open[number].stalled
        return working and number not in self.backup and number not in self.peer_backup

    def _fastest(self, without: Collection[int] = ()) -> int | None:
        return fastest_path(
            {number: self.open[number].base for number in self.usable_paths(without)}, self.current
        )
