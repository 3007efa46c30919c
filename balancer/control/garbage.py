"""Thresholds of Python's cyclic garbage collector for a process with 10,000 connections.

With the default thresholds a full collection comes after some thousand allocations and stops the process for half a
second, every few seconds. Requests are freed by reference counts; only closed connections leave cycles, so a full
collection after millions of allocations is enough.
"""

import gc

# net allocations between collections of the youngest generation, which take some milliseconds
YOUNG = 50_000
# collections of one generation before the next older one is collected
OLDER = 10


def collect_rarely() -> None:
    """Exclude the objects loaded so far from collection, and collect the rest rarely."""
    gc.set_threshold(YOUNG, OLDER, OLDER)
    gc.freeze()
