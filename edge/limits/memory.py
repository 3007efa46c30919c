"""How much memory this process holds, and how much it may: beyond that, new clients are told that it is busy."""

import contextlib
import ctypes
import gc
import os
import time
from pathlib import Path

MEMORY_SHARE = (
    0.75  # of what the machine or control group has: the rest is the kernel's for sockets and the page cache
)
CHECK_INTERVAL = 0.5  # seconds
# Python's thresholds (700, 10, 10) cost an eighth of a handshake; garbage in cycles is rare here
GC_THRESHOLDS = (20_000, 50, 100)
# glibc's mallopt(3): blocks below one size come from the heap, and that much of it stays when it is free. By default it
# is given back and faulted in anew with nearly each block of a body, which took more time than to read it
M_TRIM_THRESHOLD, KEPT_FREE = -1, 16 << 20
M_MMAP_THRESHOLD, FROM_HEAP = -3, 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")
STATM = Path("/proc/self/statm")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def raise_gc_thresholds() -> None:
    """Let Python look for garbage in cycles less often: it looks at every living object of every session."""
    gc.set_threshold(*GC_THRESHOLDS)


def retain_freed_memory() -> None:
    """Have the allocator keep some freed memory for the next block; without glibc nothing changes."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, FROM_HEAP)
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE)


def resident_bytes(statm: Path = STATM) -> int:
    """Bytes of memory that this process has now (proc(5))."""
    return int(statm.read_text().split()[1]) * _PAGE


def default_limit(processes: int, cgroup: Path = CGROUP_LIMIT) -> int:
    """Three quarters of what there is, shared by the processes."""
    available = os.sysconf("SC_PHYS_PAGES") * _PAGE
    with contextlib.suppress(OSError, ValueError):  # no control group of ours, or "max"
        available = min(available, int(cgroup.read_text()))
    return int(available * MEMORY_SHARE) // max(1, processes)


class MemoryBound:
    """Says whether there is room for more; looks at most twice a second."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._looked_at = float("-inf")
        self._full = False

    @property
    def is_full(self) -> bool:
        now = time.monotonic()
        if now - self._looked_at > CHECK_INTERVAL:
            self._looked_at = now
            self._full = resident_bytes() > self.limit
        return self._full
