"""Wait for something by looking, never by sleeping a fixed time.

A limit is in seconds during which none of the watched processes ran or waited for a processor: an emulated or busy one
makes a start long, but does not make it fail. `SENNIT_LAB_WAIT_FACTOR` multiplies every limit.
"""

import math
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from lab.errors import LabFailed

POLL = 0.05  # seconds
LOG_TAIL = 15  # lines of a log that an error shows
FACTOR_VARIABLE = "SENNIT_LAB_WAIT_FACTOR"
AT_MOST = 10  # times the limit, however busy the processes are: one that spins never ends


def scale_limit(seconds: float) -> float:
    """Return a limit times SENNIT_LAB_WAIT_FACTOR. Raises `LabFailed` where that is not a number from 1 on."""
    text = os.environ.get(FACTOR_VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 <= factor < math.inf:
        raise LabFailed(f"{FACTOR_VARIABLE}={text}: give a number of 1 or more, such as 4")
    return seconds * factor


def wait_for(
    what: str,
    ready: Callable[[], bool],
    seconds: float,
    log: Path | None = None,
    processes: Callable[[], Collection[int]] = tuple,
) -> None:
    """Poll until `ready`; raises `LabFailed` with the log's end once nothing has progressed for `seconds`.

    Time in which one of `processes` ran, or waited for a processor, does not count, up to ten times `seconds` in all.
    """
    limit = scale_limit(seconds)
    watch = ProgressWatch(processes)
    while not ready():
        watch.look()
        if watch.idle > limit or watch.elapsed > AT_MOST * limit:
            tail = ""
            if log is not None and log.exists():
                tail = ":\n" + "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
            raise LabFailed(
                f"{what} did not happen within {watch.elapsed:.3g} s, {watch.idle:.3g} s of them idle "
                f"({FACTOR_VARIABLE}=4 waits four times as long){tail}"
            )
        time.sleep(POLL)


class ProgressWatch:
    """Seconds since the start, and those in which no watched process wanted a processor."""

    def __init__(self, processes: Callable[[], Collection[int]]) -> None:
        self.idle = self.elapsed = 0.0
        self._processes = processes
        self._at = time.monotonic()
        self._wanted = self._read()

    def look(self) -> None:
        """Account for the time since the last look."""
        now, wanted = time.monotonic(), self._read()
        passed = now - self._at
        busiest = max((wanted[pid] - self._wanted.get(pid, 0.0) for pid in wanted), default=0.0)
        self.elapsed += passed
        self.idle += max(0.0, passed - busiest)
        self._at, self._wanted = now, wanted

    def _read(self) -> dict[int, float]:
        return {pid: wanted_seconds(pid) for pid in self._processes()}


def wanted_seconds(pid: int) -> float:
    """Seconds that a process ran or waited for a processor, by /proc/PID/schedstat; 0 when it is gone."""
    try:
        running, waiting, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return 0.0
    return (int(running) + int(waiting)) / 1e9
