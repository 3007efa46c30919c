"""connect(): from an address and two interfaces to an established session as asyncio streams."""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smkex.client.drains import past_drains
from smkex.client.edge_cache import EdgeCache
from smkex.client.establish import Plan, establish_over_mptcp, establish_over_tcp
from smkex.client.known_hosts import Entry, KnownHosts
from smkex.client.paths import KnownPath, PathKeeper
from smkex.client.report import ConnectionReport, PathReport
from smkex.core.errors import AddressDisagrees, HostIsKnown, OnePathOnly, SmkexError, UnexpectedMessage
from smkex.core.events import PathDropped
from smkex.core.handshake.config import ClientConfig
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.wire.locator import ID_PORT_BASE, SERVICE_PORT
from smkex.core.wire.messages import LocatorKind, Mode
from smkex.transport.counting_reader import CountingReader
from smkex.transport.routes.paths import automatic_paths
from smkex.transport.routes.resolver import resolve
from smkex.transport.routes.routes import Address
from smkex.transport.routes.target import Target
from smkex.transport.session import SessionTransport

HANDSHAKE_TIMEOUT = 10.0  # seconds: four round trips of a bad satellite path, and one lost SYN
READ_LIMIT = 1 << 20


@dataclass(slots=True)
class Connection:
    """An established session: read from `reader`, write to `writer`, ask `report()`."""

    reader: CountingReader
    writer: asyncio.StreamWriter
    session: SessionTransport
    target: Target
    known: dict[int, KnownPath]
    transport: str
    setup: float
    keeper: PathKeeper | None
    first_contact: bool = False  # in mode tofu: nothing was remembered, so nothing was compared

    async def add_path(self, interface: str) -> int:
        """Join the session from another interface too; return the path's number.

        Raises `SmkexError`, TimeoutError, or OSError where the owner cannot be reached from there.
        """
        return await self._require_keeper().add(interface)

    def remove_path(self, index: int) -> None:
        """Close a path; the others carry on. Raises `ValueError` for the last, or one that is not there."""
        self._require_keeper().remove(index)

    def set_backup(self, index: int, backup: bool) -> None:
        """Use a path, in both directions, only while no other works; or again like any other."""
        self.session.set_backup(index, backup)

    async def rehome(self) -> None:
        """Move path 0 from the service port to the owner's locator. Raises as `add_path`."""
        await self._require_keeper().rehome()

    def _require_keeper(self) -> PathKeeper:
        if self.keeper is None:
            raise UnexpectedMessage("over mptcp the kernel minds the paths")
        return self.keeper

    def report(self) -> ConnectionReport:
        """What can be said, with evidence, of the ways this connection goes."""
        established = self.session.established
        dropped = {event.path: event for event in self.session.dropped}
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
                    self._state(path, dropped.get(path)),
                )
            )
        return ConnectionReport(
            str(self.target.vip),
            self.transport,
            established.mode.name.lower(),
            established.keys.aead.name.lower().replace("_", "-"),
            established.edge_id,
            self.setup,
            tuple(paths),
            established.weakened,
            self._notes(),
            established.fleet_key,
        )

    def _notes(self) -> tuple[str, ...]:
        first, second = self.session.established.observed
        notes = []
        if self.first_contact:
            notes.append(
                "first contact: this fleet key is remembered, and nothing vouched for it but two paths"
            )
        if first.ingress_id == second.ingress_id:
            notes.append("both paths enter the CDN at the same edge")
        if self.transport == "mptcp":
            notes.append(
                "over mptcp one hostile path can break the connection, though neither read nor change it"
            )
        return tuple(notes)

    def _state(self, path: int, dropped: PathDropped | None) -> str:
        if dropped is None:
            return "stalled" if self.session.stalled(path) else "open"
        if dropped.removed:
            return "removed"
        return f"dropped: {dropped.error}" if dropped.error else "closed"

    def when_closed(self, call: Callable[[], None]) -> None:
        """Have `call` called once, when the session is over, however it ends."""
        before = self.session.on_closed

        def both() -> None:
            before()
            call()

        self.session.on_closed = both

    async def close(self) -> None:
        """End the stream and wait until the other end has agreed."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (SmkexError, OSError):
            return


async def connect(
    host: str,
    *,
    paths: Sequence[str] | None = None,
    transport: str = "tcp",
    port: int = SERVICE_PORT,
    id_port_base: int = ID_PORT_BASE,
    resolvers: Mapping[str, str] | None = None,
    strict_paths: bool = False,
    allow_shared_path: bool = False,
    scheduler: Scheduler = Scheduler.LOWEST_LATENCY,
    mode: Mode | None = None,
    known_hosts: KnownHosts | None = None,
    authorities: Path | None = None,
    cache: EdgeCache | None = None,
    locator: LocatorKind | None = None,
    timeout: float = HANDSHAKE_TIMEOUT,
) -> Connection:
    """Exchange keys with the edge behind `host` over two paths.

    `host` is an address, or a name that is resolved once per path over that path; of several addresses the first that
    answers is taken, IPv6 with a head start (RFC 8305). `paths` are two interface names, by default the first two with
    a default route; `resolvers` are addresses by interface; `timeout` is in
    seconds and bounds the whole. Raises a subclass of `SmkexError`, each cause its own, or OSError where the
    first path cannot be connected. Nothing weaker is ever taken silently: `allow_shared_path` is the caller's word
    and stands in the report. `scheduler` is for both directions (transport tcp; over mptcp the kernel chooses).
    `mode` is by default tofu for a host in `known_hosts`, and opportunistic for others; nothing else is offered. A
    fleet key met for the first time is remembered once the handshake is done. With a `cache` of an earlier
    connection both paths of transport tcp go to its edge's locator at once; where that edge refuses, all starts
    over at the service port. `locator` is how the CDN's addresses carry edge ids, by default in the port with IPv4 and
    as the edge says with IPv6. Mode mtls (transport tcp) is TLS 1.3 on path 0, for `host`, by `authorities` (PEM) or
    those of the system.
    """
    literal = _literal(host)
    found = paths if paths is not None else automatic_paths((literal.version,) if literal else (4, 6))
    interfaces = _two(found, allow_shared_path)
    entries = known_hosts.entries(host) if known_hosts is not None else []
    if mode is None:
        mode = Mode.TOFU if entries else Mode.OPPORTUNISTIC
    elif entries and mode is not Mode.TOFU:
        raise HostIsKnown(f"a fleet key is remembered for {host}: mode {mode.name.lower()} would be weaker")
    addresses = (literal,) if literal else await resolve(host, interfaces, resolvers or {})
    targets = [
        Target.at(address, port, id_port_base, locator) for address in _as_pinned(host, addresses, entries)
    ]
    config = ClientConfig(
        server_name="" if literal else host,
        strict_paths=strict_paths,
        allow_shared_path=allow_shared_path,
        modes=(mode,),
        fleet_keys=frozenset(entry.fingerprint for entry in entries),
        now=int(time.time()),
    )
    started = time.monotonic()
    plan = Plan(interfaces, config, scheduler, cache, timeout, host, authorities)
    establish = _TRANSPORTS.get(transport)
    if establish is None:
        raise ValueError(f"there is no transport {transport!r}: tcp and mptcp are")

    async def attempt(seconds: float) -> tuple[SessionTransport, Target]:
        return await establish(targets, replace(plan, timeout=seconds))

    session, target = await past_drains(attempt, timeout)
    setup = time.monotonic() - started
    fleet_key = session.established.fleet_key
    first_contact = fleet_key is not None and not entries
    if first_contact and known_hosts is not None:
        assert fleet_key is not None
        known_hosts.remember(Entry(host.lower(), fleet_key))
    reader = CountingReader(READ_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    addresses = session.get_extra_info("addresses")
    session.start(protocol)
    loop = asyncio.get_running_loop()
    writer = asyncio.StreamWriter(session, protocol, reader, loop)
    known = {
        path: KnownPath(interfaces[path], addresses[path], seen, loop.time())
        for path, seen in enumerate(session.established.observed)
    }
    keeper = PathKeeper(session, target, known) if transport == "tcp" else None
    if keeper is not None:
        keeper.start()
    return Connection(reader, writer, session, target, known, transport, setup, keeper, first_contact)


_TRANSPORTS = {"tcp": establish_over_tcp, "mptcp": establish_over_mptcp}


def _as_pinned(host: str, addresses: tuple[Address, ...], entries: list[Entry]) -> tuple[Address, ...]:
    """Those to which the host is pinned, if it is."""
    pinned = {address for entry in entries for address in entry.addresses}
    found = tuple(address for address in addresses if address in pinned or not pinned)
    if not found:
        told = ", ".join(map(str, addresses))
        raise AddressDisagrees(f"{host} is pinned to {', '.join(sorted(map(str, pinned)))}, not {told}")
    return found


def _two(paths: Sequence[str], allow_shared_path: bool) -> tuple[str, str]:
    if len(paths) == 1 and allow_shared_path:
        return paths[0], paths[0]
    if len(paths) != 2:
        found = ", ".join(paths) or "none"
        raise OnePathOnly(f"two paths are needed, interfaces given or with a default route: {found}")
    return paths[0], paths[1]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
