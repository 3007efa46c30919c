"""Path schedulers: choose the path of the next record."""

from collections.abc import Mapping
from enum import IntEnum, unique

SWITCH_RATIO = 0.75  # switch only to a path a quarter faster than the one in use: queues vary latency


@unique
class Scheduler(IntEnum):
    """Scheduler codes, as sent in a control message."""

    LOWEST_LATENCY = 1  # the fastest working path (MPTCPsec and Linux)
    AGGREGATE = 2  # every path up to its capacity
    REDUNDANT = 3  # every record on every path


def fastest_path(latencies: Mapping[int, float], current: int | None) -> int | None:
    """Return the path of lowest latency (seconds); keep `current` unless another is faster by SWITCH_RATIO."""
    best = min(latencies, key=lambda path: (latencies[path], path), default=None)
    if best is None or current is None or current not in latencies:
        return best
    if latencies[best] < SWITCH_RATIO * latencies[current]:
        return best
    return current
