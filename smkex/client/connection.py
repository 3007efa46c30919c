"""An established session as asyncio streams, with its paths and its report."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from smkex.client.as_table import AsTable
from smkex.client.paths import KnownPath, PathMaintainer
from smkex.client.report import ConnectionReport, PathReport
from smkex.client.shared_resources import PathFacts, SharedResource, find_shared_resources
from smkex.core.errors import SmkexError, UnexpectedMessage
from smkex.core.keys.exporter import SessionExporter
from smkex.transport.counting_reader import CountingReader
from smkex.transport.driver import SessionDriver
from smkex.transport.routes.target import Target


@dataclass(slots=True, eq=False)
class Connection:
    """An established session: read from `reader`, write to `writer`, ask `report()`."""

    reader: CountingReader
    writer: asyncio.StreamWriter
    session: SessionDriver
    target: Target
    known: dict[int, KnownPath]
    transport: str
    setup: float
    keeper: PathMaintainer | None
    first_contact: bool = False  # in mode tofu: nothing was remembered, so nothing was compared
    key_note: str = ""  # what became of a fleet key met for the first time
    discovery_notes: tuple[str, ...] = ()  # what of the name's service records was not used
    as_table: AsTable | None = None

    @property
    def exporter(self) -> SessionExporter:
        """The session's tag and exports, for protocols that bind themselves to this session."""
        return self.session.established.exporter

    async def add_path(self, interface: str) -> int:
        """Join the session from another interface; return the path's number.

        Raises `SmkexError`, TimeoutError, or OSError where the owner cannot be reached from there.
        """
        return await self._require_keeper().add(interface)

    def remove_path(self, index: int) -> None:
        """Close a path; the others continue. Raises `ValueError` for the last path and for an unknown one."""
        self._require_keeper().remove(index)

    def set_backup(self, index: int, backup: bool) -> None:
        """Use a path only while no other works (in both directions), or normally again."""
        self.session.set_backup(index, backup)

    def request_step(self) -> None:
        """Make a key step as soon as possible, whatever the last one's age."""
        self.session.request_step()

    async def rehome(self) -> None:
        """Move path 0 from the service port to the owner's locator. Raises as `add_path`."""
        await self._require_keeper().rehome()

    def _require_keeper(self) -> PathMaintainer:
        if self.keeper is None:
            raise UnexpectedMessage("paths cannot be changed with transport mptcp: the kernel manages them")
        return self.keeper

    def report(self) -> ConnectionReport:
        """Return the path report of this connection."""
        established = self.session.established
        paths = []
        for path, known in sorted(self.known.items()):
            carried = self.session.statistics(path)
            paths.append(
                PathReport(
                    path,
                    known.interface,
                    known.address,
                    str(known.observed.client),
                    known.observed.ingress_id,
                    carried.rtt,
                    carried.sent,
                    carried.received,
                    self.session.path_state(path),
                    known.route.leaves_by,
                    known.route.next_hop,
                    known.route.relay,
                    self._find_origins(known),
                )
            )
        return ConnectionReport(
            str(self.target.vip),
            self.transport,
            established.mode.name.lower(),
            established.group.name.lower(),
            established.keys.aead.name.lower().replace("_", "-"),
            established.edge_id,
            self.setup,
            tuple(paths),
            established.downgrades,
            self._notes(),
            established.exporter.tag.hex(),
            established.fleet_key,
            established.name,
            self.session.step_report,
            self._shared_resources(),
        )

    def _shared_resources(self) -> tuple[SharedResource, ...]:
        """What the paths in use share; with fewer than two, and with transport mptcp, those of the key exchange."""
        used = [path for path in self.known if path in self.session.paths]
        if len(used) < 2 or self.transport == "mptcp":
            used = [0, 1]
        return find_shared_resources([self._path_facts(path) for path in sorted(used)])

    def _path_facts(self, path: int) -> PathFacts:
        known = self.known[path]
        return PathFacts(
            path,
            known.interface,
            known.route.leaves_by,
            known.route.next_hop,
            known.route.relay,
            str(known.observed.client.address),
            known.observed.ingress_id,
            self._find_origins(known),
        )

    def _find_origins(self, known: KnownPath) -> tuple[int, ...]:
        return self.as_table.find_origins(known.observed.client.address) if self.as_table else ()

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self.key_note:
            notes.append(self.key_note)
        notes += self.discovery_notes
        if self.keeper is not None:
            notes += self.keeper.evidence
        if self.transport == "mptcp":
            notes.append(
                "with transport mptcp one hostile path can break the connection, but neither read nor change it"
            )
        return tuple(notes)

    def when_closed(self, call: Callable[[], None]) -> None:
        """Call `call` once when the session is over."""
        before = self.session.on_closed

        def both() -> None:
            before()
            call()

        self.session.on_closed = both

    async def close(self) -> None:
        """End the stream and wait until the peer has acknowledged it."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (SmkexError, OSError):
            return
