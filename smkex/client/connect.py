"""connect(): from an address and two interfaces to an established session as asyncio streams."""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smkex.client.drains import retry_while_draining
from smkex.client.edge_cache import EdgeCache
from smkex.client.establish import ExchangePlan, establish_over_mptcp, establish_over_tcp
from smkex.client.known_hosts import KnownHost, KnownHosts
from smkex.client.paths import KnownPath, PathMaintainer
from smkex.client.report import ConnectionReport, PathReport
from smkex.core.errors import AddressDisagrees, HostIsKnown, OnePathOnly, SmkexError, UnexpectedMessage
from smkex.core.events import PathDropped
from smkex.core.handshake.config import ClientConfig
from smkex.core.session.path_scheduler import Scheduler
from smkex.core.wire.locator import ID_PORT_BASE, SERVICE_PORT
from smkex.core.wire.messages import LocatorKind, Mode
from smkex.transport.counting_reader import CountingReader
from smkex.transport.routes.paths import automatic_paths
from smkex.transport.routes.resolver import resolve_on_both_paths
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
    keeper: PathMaintainer | None
    first_contact: bool = False  # in mode tofu: nothing was remembered, so nothing was compared

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
            established.downgrades,
            self._notes(),
            established.fleet_key,
        )

    def _notes(self) -> tuple[str, ...]:
        first, second = self.session.established.observed
        notes = []
        if self.first_contact:
            notes.append("first use: fleet key saved; only the two-path exchange authenticated it")
        if first.ingress_id == second.ingress_id:
            notes.append("both paths enter the CDN at the same edge")
        if self.transport == "mptcp":
            notes.append(
                "with transport mptcp one hostile path can break the connection, but neither read nor change it"
            )
        return tuple(notes)

    def _state(self, path: int, dropped: PathDropped | None) -> str:
        if dropped is None:
            return "stalled" if self.session.stalled(path) else "open"
        if dropped.removed:
            return "removed"
        return f"dropped: {dropped.error}" if dropped.error else "closed"

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
    literal = _parse_literal(host)
    found = paths if paths is not None else automatic_paths((literal.version,) if literal else (4, 6))
    interfaces = _require_two(found, allow_shared_path)
    entries = known_hosts.entries(host) if known_hosts is not None else []
    if mode is None:
        mode = Mode.TOFU if entries else Mode.OPPORTUNISTIC
    elif entries and mode is not Mode.TOFU:
        raise HostIsKnown(
            f"a fleet key is remembered for {host}: mode {mode.name.lower()} would be a downgrade"
        )
    addresses = (literal,) if literal else await resolve_on_both_paths(host, interfaces, resolvers or {})
    targets = [
        Target.at(address, port, id_port_base, locator)
        for address in _select_pinned(host, addresses, entries)
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
    plan = ExchangePlan(interfaces, config, scheduler, cache, timeout, host, authorities)
    establish = _TRANSPORTS.get(transport)
    if establish is None:
        raise ValueError(f"unknown transport {transport!r}: use tcp or mptcp")

    async def attempt(seconds: float) -> tuple[SessionTransport, Target]:
        return await establish(targets, replace(plan, timeout=seconds))

    session, target = await retry_while_draining(attempt, timeout)
    setup = time.monotonic() - started
    fleet_key = session.established.fleet_key
    first_contact = fleet_key is not None and not entries
    if first_contact and known_hosts is not None:
        assert fleet_key is not None
        known_hosts.remember(KnownHost(host.lower(), fleet_key))
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
    keeper = PathMaintainer(session, target, known) if transport == "tcp" else None
    if keeper is not None:
        keeper.start()
    return Connection(reader, writer, session, target, known, transport, setup, keeper, first_contact)


_TRANSPORTS = {"tcp": establish_over_tcp, "mptcp": establish_over_mptcp}


def _select_pinned(
    host: str, addresses: tuple[Address, ...], entries: list[KnownHost]
) -> tuple[Address, ...]:
    """Return the addresses that the host is pinned to, all if it is not pinned."""
    pinned = {address for entry in entries for address in entry.addresses}
    found = tuple(address for address in addresses if address in pinned or not pinned)
    if not found:
        resolved = ", ".join(map(str, addresses))
        raise AddressDisagrees(f"{host} is pinned to {', '.join(sorted(map(str, pinned)))}, not {resolved}")
    return found


def _require_two(paths: Sequence[str], allow_shared_path: bool) -> tuple[str, str]:
    if len(paths) == 1 and allow_shared_path:
        return paths[0], paths[0]
    if len(paths) != 2:
        found = ", ".join(paths) or "none"
        raise OnePathOnly(f"two paths are needed, interfaces given or with a default route; found: {found}")
    return paths[0], paths[1]


def _parse_literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
