"""Resident memory of this process, and the memory of the machine or control group."""

import contextlib
import ctypes
import gc
import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
STATM = Path("/proc/self/statm")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def resident_bytes(statm: Path = STATM) -> int:
    """Return the resident bytes of this process (proc(5))."""
    return int(statm.read_text().split()[1]) * _PAGE


def available_bytes(cgroup: Path = CGROUP_LIMIT) -> int:
    """Return the memory of the machine or of the control group, whichever is smaller."""
    available = os.sysconf("SC_PHYS_PAGES") * _PAGE
    with contextlib.suppress(OSError, ValueError):  # no control group, or "max"
        available = min(available, int(cgroup.read_text()))
    return available


def release_unused() -> None:
    """Give back what nothing refers to, and what the allocator keeps between blocks in use (malloc_trim(3)).

    Takes some milliseconds, and tens of them with thousands of sessions.
    """
    gc.collect()
    with contextlib.suppress(AttributeError):  # musl keeps little
        ctypes.CDLL(None).malloc_trim(0)
