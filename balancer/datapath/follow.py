"""`sennit forwarder run`: follow table.json in the node's state folder into the maps, and say what is applied.

Holds map descriptors only. When it dies the programs go on with the last table; when it starts it makes the maps
equal to the file, element by element.
"""

import json
import logging
import os
import threading
from pathlib import Path

from balancer.datapath.bpf import Map
from balancer.datapath.layout import ID, pack_edge
from balancer.datapath.pins import NotLoaded, open_map, pinned_at
from balancer.model.table import ForwardingTable

log = logging.getLogger("forwarder")

POLL = 0.1  # seconds between looks at the file


class Follower:
    """Keeps the maps equal to the newest table."""

    def __init__(self, state: Path, bpffs: Path) -> None:
        self._state, self._bpffs = state, bpffs
        self._edges, self._tunnels = open_map(bpffs, "edges"), open_map(bpffs, "tunnels")
        self._pinned = pinned_at(bpffs, "edges")
        self._seen: tuple[int, int] | None = None
        self.generation = -1

    def run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            self.look()
            stopped.wait(POLL)

    def look(self) -> bool:
        """Apply the file if it is new; whether it was. A file that is no table is reported and left alone."""
        self._reopen()
        path = self._state / "table.json"
        try:
            about = path.stat()
        except FileNotFoundError:
            return False
        seen = (about.st_ino, about.st_mtime_ns)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            table = read_table(self._state)
        except (OSError, ValueError) as error:
            log.error("%s is no table, the last one stays: %s", path, error)
            return False
        if table is None:
            return False
        if table.generation < self.generation:
            log.warning("generation %d is older than %d: left alone", table.generation, self.generation)
            return False
        apply(table, self._edges, self._tunnels)
        self.generation = table.generation
        self._report()
        log.info("generation %d applied: %d edges", table.generation, len(table.edges))
        return True

    def _reopen(self) -> None:
        """A new `load` pins new maps: follow into those."""
        pinned = pinned_at(self._bpffs, "edges")
        if pinned in (None, self._pinned):
            return
        try:
            edges, tunnels = open_map(self._bpffs, "edges"), open_map(self._bpffs, "tunnels")
        except NotLoaded:  # in the middle of a load
            return
        for old in (self._edges, self._tunnels):
            old.close()
        self._edges, self._tunnels = edges, tunnels
        self._pinned, self._seen = pinned, None
        log.info("new programs were loaded: following into their maps")

    def _report(self) -> None:
        temporary = self._state / "applied.json.new"
        temporary.write_text(json.dumps({"generation": self.generation}))
        os.replace(temporary, self._state / "applied.json")


def read_table(state: Path) -> ForwardingTable | None:
    """The table of a state folder, or None before there is one. Raises ValueError, OSError."""
    try:
        return ForwardingTable.from_json(json.loads((state / "table.json").read_text()))
    except FileNotFoundError:
        return None


def apply(table: ForwardingTable, edges: Map, tunnels: Map) -> None:
    """Make the maps equal to the table. New ids first and old ids last, so that none is missing in between."""
    wanted = {ID.pack(edge.id): edge for edge in table.edges if edge.tunnel_v4}
    senders = {bytes(pack_edge(edge.tunnel_v4 or "", edge.state)[:4]): key for key, edge in wanted.items()}
    for address, key in senders.items():
        tunnels.put(address, key)
    for key, edge in wanted.items():
        edges.put(key, pack_edge(edge.tunnel_v4 or "", edge.state))
    for key in [key for key in edges.keys() if key not in wanted]:  # noqa: SIM118 - a map, not a dict
        edges.delete(key)
    for address in [address for address in tunnels.keys() if address not in senders]:  # noqa: SIM118
        tunnels.delete(address)
