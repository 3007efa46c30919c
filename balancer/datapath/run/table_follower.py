"""`sennit forwarder run`: apply table.json of the state folder to the maps, and acknowledge it in applied.json.

If the daemon dies, the programs continue with the last table; when it starts, it applies the file.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from balancer.datapath.host.reconciler import HostReconciler
from balancer.datapath.load.install import ForwarderInstall, NotInstalled
from balancer.datapath.maps.generation import OUTER, Generations, map_content
from balancer.datapath.maps.layout import TICKS
from balancer.datapath.maps.live_words import Live
from balancer.datapath.maps.pins import NotLoaded, open_map, pinned_at
from balancer.datapath.run.metrics import collect_metrics, render_host
from balancer.datapath.run.traffic import TrafficFile
from balancer.model.table import EdgeState, ForwardingTable
from balancer.model.table_file import load_table
from balancer.model.timestamp import Freshness, Timestamp
from node.state.catalogue import CONTACT, TABLE
from node.state.forwarder import write_applied_generation
from node.state.signs import read_timestamp
from node.state.state_file import FileWatch
from node.state.table_key import trusted_table_keys

log = logging.getLogger("forwarder")

# seconds between checks of the file; of several generations published in between only the newest is applied
POLL_INTERVAL = 1 / TICKS
FRESH_FOR = 10.0  # seconds that one check extends the table's freshness


class TableFollower:
    """Applies the newest table to the maps; keeps the host as the programs need it."""

    def __init__(self, state: Path, bpffs: Path) -> None:
        self._state, self._bpffs = state, bpffs
        self._pinned = pinned_at(bpffs, "edges")
        self._placement = ForwarderInstall.read(state)
        self._generations = open_generations(bpffs)
        self._traffic = TrafficFile(state, bpffs)
        self._host = HostReconciler(state, bpffs)
        self._watch = FileWatch(TABLE, state)
        self._contact = FileWatch(CONTACT, state)
        self._freshness = Freshness()
        self._known: set[int] = set()
        self._acknowledged = self._acknowledge_failed = False
        self.table = ForwardingTable(generation=-1)

    @property
    def generation(self) -> int:
        """Generation of the active table; -1 before the first."""
        return self.table.generation

    def metrics(self) -> str:
        """Return the metrics text. Raises `pins.NotLoaded`."""
        fresh = self._generations.live.words.fresh_until > time.monotonic_ns()
        return collect_metrics(self._bpffs, self.table, fresh) + render_host(
            self._host.items, self._host.repairs
        )

    def run(self, stopped: threading.Event, alive: Callable[[], None]) -> None:
        """Poll until `stopped` is set; call `alive` each time."""
        while not stopped.is_set():
            self.poll_table()
            self._acknowledge()
            self._write_traffic()
            self._host.check_if_due(self._generations.live.words.overhead)
            alive()
            stopped.wait(POLL_INTERVAL)

    def poll_table(self) -> bool:
        """Apply the file if it changed; return whether it did. An invalid file is logged and the old table kept."""
        self._follow_reload()
        self._generations.live.words.tick += 1
        self._extend_freshness()
        if not self._watch.has_changed():
            return False
        try:
            table = load_table(self._state)
        except (OSError, ValueError) as error:
            path = TABLE.path_in(self._state)
            log.error("invalid table in %s, keeping generation %d: %s", path, self.generation, error)
            return False
        if table.generation < self.generation:
            log.warning("ignoring generation %d, older than %d", table.generation, self.generation)
            return False
        self._apply(table)
        log.info("generation %d applied: %d edges", table.generation, len(table.edges))
        return True

    def _write_traffic(self) -> None:
        try:
            self._traffic.write_if_due(edge.id for edge in self.table.edges)
        except NotLoaded:  # during a load
            pass
        except OSError as error:
            log.warning("traffic.json: %s", error)

    def _apply(self, table: ForwardingTable) -> None:
        here = self._placement
        self._generations.activate(
            map_content(table, here.edge_id, here.own, (here.vip,), here.encapsulation)
        )
        self._remember_arrivals(table)
        self.table = table
        self._acknowledged = False
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Tell the agent which generation is applied; retried at each check, and never a reason to end."""
        if self._acknowledged or self.generation < 0:
            return
        try:
            write_applied_generation(self._state, self.generation)
        except OSError as error:
            if not self._acknowledge_failed:
                log.error("generation %d not acknowledged, retrying: %s", self.generation, error)
            self._acknowledge_failed = True
            return
        self._acknowledged, self._acknowledge_failed = True, False

    def _remember_arrivals(self, table: ForwardingTable) -> None:
        """Record arrivals while an edge is down or removed: its subflows arrive by another edge."""
        ids = {edge.id for edge in table.edges}
        self._known |= ids
        lost = self._known - ids or any(edge.state is EdgeState.DOWN for edge in table.edges)
        self._generations.live.words.arrivals = int(bool(lost))

    def _extend_freshness(self) -> None:
        """Extend the table's freshness: until it ends, a SYN to an unknown id is refused rather than dropped."""
        if self.generation >= 0 and self._is_fresh():
            self._generations.live.words.fresh_until = time.monotonic_ns() + int(FRESH_FOR * 1e9)

    def _is_fresh(self) -> bool:
        """Return whether the control plane said a short time ago, signed, that there is no newer table.

        Of a node without an agent, whose table is written by hand, this daemon's life will do.
        """
        if CONTACT.version_in(self._state) is None:
            return True
        if self._contact.has_changed():
            try:
                timestamp = Timestamp.open(read_timestamp(self._state), trusted_table_keys(self._state))
            except ValueError as error:
                log.warning("no valid timestamp of the control plane: %s", error)
            else:
                self._freshness.accept(timestamp, time.time(), time.monotonic())
        newest = self._freshness.newest
        fresh = self._freshness.is_fresh(time.monotonic())
        return fresh and newest is not None and newest.table <= self.generation

    def _follow_reload(self) -> None:
        """Open the maps that a new `load` pinned."""
        pinned = pinned_at(self._bpffs, "edges")
        if pinned in (None, self._pinned):
            return
        try:
            generations, placement = open_generations(self._bpffs), ForwarderInstall.read(self._state)
        except (NotLoaded, NotInstalled):  # during a load
            return
        self._generations.close()
        self._generations, self._placement = generations, placement
        self._pinned = pinned
        self._watch.forget_version()
        log.info("programs reloaded, using their maps")


def open_generations(bpffs: Path) -> Generations:
    """Raises `pins.NotLoaded`."""
    live_map = open_map(bpffs, "live_map")
    try:
        live = Live(live_map)
    finally:
        live_map.close()
    return Generations({name: open_map(bpffs, name) for name in OUTER}, live)


def read_overhead(bpffs: Path) -> int:
    """Return the size of the largest outer header in the active table. Raises `pins.NotLoaded`."""
    live_map = open_map(bpffs, "live_map")
    try:
        live = Live(live_map)
    finally:
        live_map.close()
    try:
        return live.words.overhead
    finally:
        live.close()
