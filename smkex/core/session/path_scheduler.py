"""Schedulers: on which of the usable paths the next record goes."""

from collections.abc import Mapping
from enum import IntEnum, unique

SWITCH = 0.75  # another path must be a quarter faster than the one in use: queues make latencies waver


@unique
class Scheduler(IntEnum):
    """The choices, as sent in a control message."""

    LOWEST_LATENCY = 1  # one path, the fastest that works (MPTCPsec and Linux)
    AGGREGATE = 2  # every path takes what it can carry
    REDUNDANT = 3  # every record on every path


def fastest(latencies: Mapping[int, float], current: int | None) -> int | None:
    """The path of lowest latency in seconds; `current` is kept unless another is clearly faster."""
    best = min(latencies, key=lambda path: (latencies[path], path), default=None)
    if best is None or current is None or current not in latencies:
        return best
    if latencies[best] < SWITCH * latencies[current]:
        return best
    return current
