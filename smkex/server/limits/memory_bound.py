"""Limit on the resident memory of this process: above it new clients are refused with `overloaded`."""

import time
from pathlib import Path

from smkex.server.limits.resident_memory import CGROUP_LIMIT, available_bytes, resident_bytes

# of the machine or control group; the rest is the kernel's for sockets and the page cache
MEMORY_SHARE = 0.75
CHECK_INTERVAL = 0.5  # seconds


def default_limit(processes: int, cgroup: Path = CGROUP_LIMIT) -> int:
    """Return three quarters of the memory, divided among the processes."""
    return int(available_bytes(cgroup) * MEMORY_SHARE) // max(1, processes)


class MemoryBound:
    """Compares the resident memory with `limit`, at most twice a second."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._checked_at = float("-inf")
        self._full = False

    @property
    def is_full(self) -> bool:
        now = time.monotonic()
        if now - self._checked_at > CHECK_INTERVAL:
            self._checked_at = now
            self._full = resident_bytes() > self.limit
        return self._full
