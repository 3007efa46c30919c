"""Thresholds of Python's garbage collector."""

import gc

# Python's thresholds (700, 10, 10) cost an eighth of a handshake. What HTTP had of a request is garbage in cycles: with
# the sessions of a flood it is in the second generation before the first is collected again, so that one follows soon
GC_THRESHOLDS = (20_000, 5, 20)


def raise_gc_thresholds() -> None:
    """Collect cyclic garbage less often: each collection visits every object of every session."""
    gc.set_threshold(*GC_THRESHOLDS)
