"""`sennit forwarder run`: follow table.json in the node's state folder into the maps, and say what is applied.

Holds map descriptors only. When it dies the programs go on with the last table; when it starts it puts the table of
the file in force.
"""

import json
import logging
import os
import threading
from pathlib import Path

from balancer.datapath.generation import Generations, content
from balancer.datapath.live import Live
from balancer.datapath.pins import NotLoaded, open_map, pinned_at
from balancer.datapath.placement import NotPlaced, Placement
from balancer.model.table import ForwardingTable

log = logging.getLogger("forwarder")

POLL = 0.1  # seconds between looks at the file; at most so many generations are skipped


class Follower:
    """Keeps the generation in force that the newest table asks for."""

    def __init__(self, state: Path, bpffs: Path) -> None:
        self._state, self._bpffs = state, bpffs
        self._pinned = pinned_at(bpffs, "edges")
        self._placement = Placement.read(state)
        self._generations = open_generations(bpffs)
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
        self._apply(table)
        log.info("generation %d applied: %d edges", table.generation, len(table.edges))
        return True

    def _apply(self, table: ForwardingTable) -> None:
        here = self._placement
        self._generations.put(content(table, here.own, (here.vip,), here.encapsulation))
        self.generation = table.generation
        temporary = self._state / "applied.json.new"
        temporary.write_text(json.dumps({"generation": self.generation}))
        os.replace(temporary, self._state / "applied.json")

    def _reopen(self) -> None:
        """A new `load` pins new maps: follow into those."""
        pinned = pinned_at(self._bpffs, "edges")
        if pinned in (None, self._pinned):
            return
        try:
            generations, placement = open_generations(self._bpffs), Placement.read(self._state)
        except (NotLoaded, NotPlaced):  # in the middle of a load
            return
        self._generations.close()
        self._generations, self._placement = generations, placement
        self._pinned, self._seen = pinned, None
        log.info("new programs were loaded: following into their maps")


def open_generations(bpffs: Path) -> Generations:
    """Raises `pins.NotLoaded`."""
    live_map = open_map(bpffs, "live_map")
    try:
        live = Live(live_map)
    finally:
        live_map.close()
    return Generations(open_map(bpffs, "edges"), open_map(bpffs, "tunnels"), open_map(bpffs, "vips"), live)


def read_table(state: Path) -> ForwardingTable | None:
    """The table of a state folder, or None before there is one. Raises ValueError, OSError."""
    try:
        return ForwardingTable.from_json(json.loads((state / "table.json").read_text()))
    except FileNotFoundError:
        return None
