"""Thresholds of Python's garbage collector."""

import gc

# Python's thresholds (700, 10, 10) cost an eighth of a handshake; garbage in cycles is rare here
GC_THRESHOLDS = (20_000, 50, 100)


def raise_gc_thresholds() -> None:
    """Collect cyclic garbage less often: each collection visits every object of every session."""
    gc.set_threshold(*GC_THRESHOLDS)
