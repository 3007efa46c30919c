"""Thresholds of glibc's allocator (mallopt(3))."""

import contextlib
import ctypes

# By default freed blocks of a body's size return to the kernel, and the next block faults its pages in again, which
# took more time than reading the body. So blocks below one size come from the heap, which keeps some free memory.
_M_MMAP_THRESHOLD, MMAP_THRESHOLD = -3, 1 << 20
_M_TRIM_THRESHOLD, TRIM_THRESHOLD = -1, 16 << 20


def retain_freed_memory() -> None:
    """Let the allocator keep some freed memory for the next block; without glibc do nothing."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD)
