"""Tell the node's agent what goes through the tunnels: counts per edge, in `traffic.json` of the state folder."""

import time
from collections.abc import Iterable
from pathlib import Path

from balancer.datapath.maps.counters import read_traffic
from runtime.files import replace_json

EVERY = 2.0  # seconds


class TrafficFile:
    """Writes the file anew now and then; `at` in it is this host's monotonic clock, in seconds."""

    def __init__(self, state: Path, bpffs: Path) -> None:
        self._path, self._bpffs = state / "traffic.json", bpffs
        self._due = 0.0

    def look(self, edge_ids: Iterable[int]) -> None:
        """Write when it is time. Raises `pins.NotLoaded`, OSError."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY
        traffic = read_traffic(self._bpffs, sorted(edge_ids))
        sent = {
            str(edge): [one.sent_packets, one.sent_bytes] for edge, one in traffic.items() if one.sent_packets
        }
        replace_json(self._path, {"at": now, "sent": sent})
