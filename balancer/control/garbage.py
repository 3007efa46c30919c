"""Python's collector of reference cycles, set for a process that holds a fleet.

With its usual thresholds it looks through all that lives after some thousand allocations: with 10,000 connections that
is half a second in which nobody is answered, every few seconds. What requests leave behind goes by reference counts;
cycles are left by connections that end, so that it is enough to look through everything after millions of allocations.
"""

import gc

YOUNG = 50_000  # allocations, less what was freed, until the young are looked through: some milliseconds
OLDER = 10  # such looks until the older are looked through, and such until everything is


def collect_rarely() -> None:
    """Leave what has been loaded so far alone, and look through the rest seldom."""
    gc.set_threshold(YOUNG, OLDER, OLDER)
    gc.freeze()
