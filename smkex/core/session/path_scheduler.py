"""Path schedulers: choose the path of the next record."""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

SWITCH_RATIO: Final = 0.75  # switch only to a path a quarter faster than the one in use: queues vary latency
SWITCH_GAIN: Final = 0.001  # seconds that a switch must gain at least


@unique
class Scheduler(IntEnum):
    """Scheduler codes, as sent in a control message."""

    LOWEST_LATENCY = 1  # the fastest working path (MPTCPsec and Linux)
    AGGREGATE = 2  # every path up to its capacity
    REDUNDANT = 3  # every record on every path


def is_clearly_faster(latency: float, current: float) -> bool:
    """Whether a path of `latency` seconds is worth leaving one of `current` seconds."""
    return latency < SWITCH_RATIO * current and current - latency > SWITCH_GAIN


def fastest_path(latencies: Mapping[int, float], current: int | None) -> int | None:
    """Return the path of lowest latency (seconds); keep `current` unless another is clearly faster."""
    best = min(latencies, key=lambda path: (latencies[path], path), default=None)
    if best is None or current is None or current not in latencies:
        return best
    return best if is_clearly_faster(latencies[best], latencies[current]) else current
