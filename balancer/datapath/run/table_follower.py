"""`sennit forwarder run`: follow table.json in the node's state folder into the maps, and say what is applied.

Holds map descriptors only. When it dies the programs go on with the last table; when it starts it puts the table of
the file in force.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from balancer.datapath.load.install import ForwarderInstall, NotInstalled
from balancer.datapath.maps.generation import OUTER, Generations, map_content
from balancer.datapath.maps.layout import TICKS
from balancer.datapath.maps.live_words import Live
from balancer.datapath.maps.pins import NotLoaded, open_map, pinned_at
from balancer.datapath.run.metrics import collect_metrics
from balancer.datapath.run.traffic import TrafficFile
from balancer.model.table import EdgeState, ForwardingTable
from balancer.model.table_file import load_table
from node.state.catalogue import TABLE
from node.state.forwarder import write_applied_generation
from node.state.signs import contact_age
from node.state.state_file import FileWatch

log = logging.getLogger("forwarder")

POLL = (
    1 / TICKS
)  # seconds between looks at the file; of what is published in between only the newest is applied
BELIEVED = 10.0  # seconds for which a look says that the table is followed
SILENCE = 90.0  # seconds without a word from the control plane (the agent's `contact`): three long polls


class TableFollower:
    """Keeps the generation in force that the newest table asks for."""

    def __init__(self, state: Path, bpffs: Path) -> None:
        self._state, self._bpffs = state, bpffs
        self._pinned = pinned_at(bpffs, "edges")
        self._placement = ForwarderInstall.read(state)
        self._generations = open_generations(bpffs)
        self._traffic = TrafficFile(state, bpffs)
        self._watch = FileWatch(TABLE, state)
        self._known: set[int] = set()
        self.table = ForwardingTable(generation=-1)

    @property
    def generation(self) -> int:
        """Of the table in force; -1 before the first."""
        return self.table.generation

    def metrics(self) -> str:
        """What Prometheus is told. Raises `pins.NotLoaded`."""
        fresh = self._generations.live.words.fresh_until > time.monotonic_ns()
        return collect_metrics(self._bpffs, self.table, fresh)

    def run(self, stopped: threading.Event, alive: Callable[[], None]) -> None:
        """Look until told to stop; calls `alive` each time."""
        while not stopped.is_set():
            self.look()
            self._tell_traffic()
            alive()
            stopped.wait(POLL)

    def look(self) -> bool:
        """Apply the file if it is new; whether it was. A file that is no table is reported and left alone."""
        self._reopen()
        self._generations.live.words.tick += 1
        self._refresh()
        if not self._watch.has_changed():
            return False
        try:
            table = load_table(self._state)
        except (OSError, ValueError) as error:
            path = TABLE.path_in(self._state)
            log.error("invalid table in %s, keeping generation %d: %s", path, self.generation, error)
            return False
        if table.generation < self.generation:
            log.warning("generation %d is older than %d: left alone", table.generation, self.generation)
            return False
        self._apply(table)
        log.info("generation %d applied: %d edges", table.generation, len(table.edges))
        return True

    def _tell_traffic(self) -> None:
        try:
            self._traffic.look(edge.id for edge in self.table.edges)
        except NotLoaded:  # in the middle of a load
            pass
        except OSError as error:
            log.warning("traffic.json: %s", error)

    def _apply(self, table: ForwardingTable) -> None:
        here = self._placement
        self._generations.put(map_content(table, here.edge_id, here.own, (here.vip,), here.encapsulation))
        self._remember_arrivals(table)
        self.table = table
        write_applied_generation(self._state, self.generation)

    def _remember_arrivals(self, table: ForwardingTable) -> None:
        """Where an edge is down or gone, subflows that came in by it are looked for elsewhere."""
        ids = {edge.id for edge in table.edges}
        self._known |= ids
        lost = self._known - ids or any(edge.state is EdgeState.DOWN for edge in table.edges)
        self._generations.live.words.arrivals = int(bool(lost))

    def _refresh(self) -> None:
        """Say until when the table is believed: a SYN to an unknown id is refused then, and not dropped."""
        silent = contact_age(self._state) or 0.0  # an agent that records none: this daemon's life will do
        if self.generation >= 0 and silent < SILENCE:
            self._generations.live.words.fresh_until = time.monotonic_ns() + int(BELIEVED * 1e9)

    def _reopen(self) -> None:
        """A new `load` pins new maps: follow into those."""
        pinned = pinned_at(self._bpffs, "edges")
        if pinned in (None, self._pinned):
            return
        try:
            generations, placement = open_generations(self._bpffs), ForwarderInstall.read(self._state)
        except (NotLoaded, NotInstalled):  # in the middle of a load
            return
        self._generations.close()
        self._generations, self._placement = generations, placement
        self._pinned = pinned
        self._watch.forget_version()
        log.info("new programs were loaded: following into their maps")


def open_generations(bpffs: Path) -> Generations:
    """Raises `pins.NotLoaded`."""
    live_map = open_map(bpffs, "live_map")
    try:
        live = Live(live_map)
    finally:
        live_map.close()
    return Generations({name: open_map(bpffs, name) for name in OUTER}, live)
