"""The C library's heap of a process that moves much data.

glibc gives memory back to the kernel whenever 128 KB at the heap's end are free, and takes it again a moment later:
records then cost some 20 page faults for 256 KB, as much time as their encryption, and bodies of the cache more than to
read them (mallopt(3)).
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 16 << 20  # bytes of free memory that the process keeps
# bytes of an allocation from the heap; larger ones are mapped one by one, and given back at once
LARGEST = 1 << 20


def keep_freed_memory() -> bool:
    """Keep up to `KEPT` bytes of freed memory; return False where the C library has no such setting (musl)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT) and mallopt(M_MMAP_THRESHOLD, LARGEST))
