"""Read the forwarder's counters: packets and bytes per reason, summed over processors."""

from pathlib import Path

from balancer.datapath.layout import COUNTER, ID
from balancer.datapath.pins import open_map
from balancer.model.verdict import Reason


def read_counters(bpffs: Path) -> dict[Reason, tuple[int, int]]:
    """Return (packets, bytes) of every reason. Raises `pins.NotLoaded`."""
    counters = open_map(bpffs, "counters")
    try:
        found: dict[Reason, tuple[int, int]] = {}
        for reason in Reason:
            values = list(COUNTER.iter_unpack(counters.get(ID.pack(reason)) or b""))
            found[reason] = (sum(value[0] for value in values), sum(value[1] for value in values))
        return found
    finally:
        counters.close()
