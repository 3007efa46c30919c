"""Write tunnel counters per edge to traffic.json of the state folder, for the agent."""

import time
from collections.abc import Iterable
from pathlib import Path

from balancer.datapath.maps.counters import read_traffic
from node.state.forwarder import TunnelCounts, write_tunnel_counts

WRITE_INTERVAL = 2.0  # seconds


class TrafficFile:
    """Replaces the file every few seconds."""

    def __init__(self, state: Path, bpffs: Path) -> None:
        self._state, self._bpffs = state, bpffs
        self._due = 0.0

    def write_if_due(self, edge_ids: Iterable[int]) -> None:
        """Write the file every `WRITE_INTERVAL`. Raises `pins.NotLoaded`, OSError."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + WRITE_INTERVAL
        traffic = read_traffic(self._bpffs, sorted(edge_ids))
        sent = {edge: (one.sent_packets, one.sent_bytes) for edge, one in traffic.items()}
        write_tunnel_counts(self._state, TunnelCounts(now, sent))
