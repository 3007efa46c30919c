"""Read the forwarder's counters: packets and bytes per reason and per edge, summed over processors."""

from dataclasses import dataclass
from pathlib import Path

from balancer.datapath.maps.layout import BY_XDP, COUNTER, EDGE_COUNTER, ID
from balancer.datapath.maps.pins import open_map
from balancer.model.verdict import Reason


@dataclass(frozen=True, slots=True)
class EdgeTraffic:
    """Traffic in tunnels to and from one edge."""

    sent_packets: int
    sent_bytes: int
    received_packets: int
    received_bytes: int


def read_counters(bpffs: Path) -> dict[Reason, tuple[int, int]]:
    """Return (packets, bytes) of every reason, of tc and XDP together. Raises `pins.NotLoaded`."""
    by_tc, by_xdp = _read_reasons(bpffs, 0), _read_reasons(bpffs, BY_XDP)
    return {reason: (p + by_xdp[reason][0], b + by_xdp[reason][1]) for reason, (p, b) in by_tc.items()}


def read_xdp_counters(bpffs: Path) -> dict[Reason, tuple[int, int]]:
    """Return (packets, bytes) of every reason, of packets whose verdict XDP gave. Raises `pins.NotLoaded`."""
    return _read_reasons(bpffs, BY_XDP)


def _read_reasons(bpffs: Path, first: int) -> dict[Reason, tuple[int, int]]:
    counters = open_map(bpffs, "counters")
    try:
        found: dict[Reason, tuple[int, int]] = {}
        for reason in Reason:
            values = list(COUNTER.iter_unpack(counters.get(ID.pack(first + reason)) or b""))
            found[reason] = (sum(value[0] for value in values), sum(value[1] for value in values))
        return found
    finally:
        counters.close()


def read_traffic(bpffs: Path, ids: list[int]) -> dict[int, EdgeTraffic]:
    """Return the traffic with each of these edges. Raises `pins.NotLoaded`."""
    counters = open_map(bpffs, "edge_counters")
    try:
        found: dict[int, EdgeTraffic] = {}
        for edge_id in ids:
            values = list(EDGE_COUNTER.iter_unpack(counters.get(ID.pack(edge_id)) or b""))
            found[edge_id] = EdgeTraffic(*(sum(column) for column in zip(*values, strict=True)))
        return found
    finally:
        counters.close()
