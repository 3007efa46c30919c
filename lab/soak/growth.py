"""Memory and file descriptors of the lab's processes over time, and whether they grow."""

import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
ENOUGH = 12  # samples of one process: fewer say nothing of growth


@dataclass(slots=True)
class Series:
    """What one process held, sample by sample: resident bytes, and open descriptors."""

    name: str
    resident: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def growth(self) -> tuple[float, int] | None:
        """Bytes, and descriptors, from the second third to the last, by medians; None while too short to tell.

        The first third is left out: caches fill and allocators find their size.
        """
        if len(self.resident) < ENOUGH:
            return None
        third = len(self.resident) // 3
        memory = statistics.median(self.resident[2 * third :]) - statistics.median(
            self.resident[third : 2 * third]
        )
        # what is open at the quietest moment of each: sessions in flight come and go
        files = min(self.descriptors[2 * third :]) - min(self.descriptors[third : 2 * third])
        return memory, files


class Watch:
    """Samples processes; one that died and was started again is another."""

    def __init__(self) -> None:
        self.series: dict[int, Series] = {}

    def sample(self, processes: Iterable[tuple[int, str]]) -> None:
        """Look at (process id, name) once; who is gone is passed over."""
        for pid, name in processes:
            try:
                resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
                descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            except (OSError, IndexError):
                continue
            series = self.series.setdefault(pid, Series(name))
            series.resident.append(resident)
            series.descriptors.append(descriptors)
