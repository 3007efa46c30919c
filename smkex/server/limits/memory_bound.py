"""Limit on the resident memory of this process: above it new clients are refused with `overloaded`.

Near the limit the process gives back what it does not use, or clients that came and went would leave it refusing.
"""

import time
from pathlib import Path

from smkex.server.limits.resident_memory import (
    CGROUP_LIMIT,
    available_bytes,
    release_unused,
    resident_bytes,
)

# of the machine or control group; the rest is the kernel's for sockets and the page cache
MEMORY_SHARE = 0.75
CHECK_INTERVAL = 0.5  # seconds
RELEASE_SHARE = 0.75  # of the limit, above which unused memory is given back
RELEASE_INTERVAL = 2.0  # seconds between two times that it is
RELEASE_PAUSE = 20  # times as long as it took, where that is longer: a twentieth of a processor at most


def default_limit(processes: int, cgroup: Path = CGROUP_LIMIT) -> int:
    """Return three quarters of the memory, divided among the processes."""
    return int(available_bytes(cgroup) * MEMORY_SHARE) // max(1, processes)


class MemoryBound:
    """Compares the resident memory with `limit`, at most twice a second."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._checked_at = float("-inf")
        self._release_at = float("-inf")  # not before
        self._full = False

    @property
    def is_full(self) -> bool:
        now = time.monotonic()
        if now - self._checked_at > CHECK_INTERVAL:
            self._checked_at = now
            resident = resident_bytes()
            if resident > self.limit * RELEASE_SHARE and now >= self._release_at:
                release_unused()
                took = time.monotonic() - now
                self._release_at = now + max(RELEASE_INTERVAL, RELEASE_PAUSE * took)
                resident = resident_bytes()
            self._full = resident > self.limit
        return self._full
