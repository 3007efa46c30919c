"""Memory and file descriptors of the lab's processes over time, and whether they grow."""

import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
ENOUGH = 12  # samples of one process: fewer say nothing of its descriptors
SETTLED = 240  # and of its memory: caches fill and allocators find their size for a minute of load or more


@dataclass(slots=True)
class Series:
    """What one process held, sample by sample: seconds since the start, resident bytes, open descriptors."""

    name: str
    times: list[float] = field(default_factory=list, kw_only=True)
    resident: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def memory_growth(self) -> float | None:
        """Bytes from the second third to the last, by medians; None while too short to tell."""
        if len(self.resident) < SETTLED:
            return None
        before, after = _last_two_thirds(self.resident)
        return statistics.median(after) - statistics.median(before)

    def descriptor_growth(self) -> int | None:
        """What is open at the quietest moment of each third, for sessions in flight come and go; None as above."""
        if len(self.descriptors) < ENOUGH:
            return None
        before, after = _last_two_thirds(self.descriptors)
        return min(after) - min(before)


def _last_two_thirds(samples: list[int]) -> tuple[list[int], list[int]]:
    """The second and the last."""
    third = len(samples) // 3
    return samples[third : 2 * third], samples[2 * third :]


class MemoryWatch:
    """Samples processes; one that died and was started again is another."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.series: dict[int, Series] = {}
        self.failures: list[tuple[float, str]] = []

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def note_failure(self, name: str) -> None:
        """Something is broken now, for the picture."""
        self.failures.append((self.elapsed, name))

    def sample(self, processes: Iterable[tuple[int, str]]) -> None:
        """Look at (process id, name) once; who is gone is passed over."""
        for pid, name in processes:
            try:
                resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
                descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            except (OSError, IndexError):
                continue
            series = self.series.setdefault(pid, Series(name))
            series.times.append(self.elapsed)
            series.resident.append(resident)
            series.descriptors.append(descriptors)
