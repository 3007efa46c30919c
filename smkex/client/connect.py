"""connect(): from an address and two interfaces to an established session as asyncio streams."""

import asyncio
import time
from dataclasses import replace

from smkex.client.as_table import AsTable
from smkex.client.connection import Connection
from smkex.client.drains import retry_while_draining
from smkex.client.establish import ExchangePlan, establish_over_mptcp, establish_over_tcp
from smkex.client.expected_keys import name_key_of_fleet, refuse_downgrade, select_modes, select_name_key
from smkex.client.known_hosts import KnownHost, KnownHosts
from smkex.client.options import ConnectOptions
from smkex.client.paths import KnownPath, PathMaintainer
from smkex.client.recording.session_recorder import SessionRecorder
from smkex.core.errors import AddressDisagrees, OnePathOnly, PeerAborted, SharedPath
from smkex.core.handshake.config import ClientConfig
from smkex.core.handshake.established import Established
from smkex.core.keys.key_agreement import require_groups
from smkex.core.keys.name_key import read_replacement
from smkex.core.wire.locator import ID_PORT_BASE, SERVICE_PORT
from smkex.transport.counting_reader import CountingReader
from smkex.transport.driver import SessionDriver, as_transport
from smkex.transport.resolution.discovery import FoundService, find_service
from smkex.transport.resolution.service_record import SvcbRecord
from smkex.transport.routes.host_name import HostName
from smkex.transport.routes.local_route import describe_route
from smkex.transport.routes.paths import automatic_paths
from smkex.transport.routes.routes import Address
from smkex.transport.routes.target import Target

READ_LIMIT = 1 << 20  # bytes that wait to be read before the sender is held back


async def connect(
    host: str, *, port: int = SERVICE_PORT, options: ConnectOptions | None = None
) -> Connection:
    """Exchange keys with the edge behind `host` over two paths.

    `host` is an address, or a name that is resolved once per path over that path; of several addresses the first that
    answers is taken, IPv6 with a head start (RFC 8305). Raises `InvalidHostName`, a subclass of
    `SmkexError` for each cause, or OSError if the first path cannot be connected. A downgrade needs an option that
    permits it, and is in the report.
    """
    options = options or ConnectOptions()
    establish = _TRANSPORTS.get(options.transport)
    if establish is None:
        raise ValueError(f"unknown transport {options.transport!r}: use tcp or mptcp")
    name = HostName.parse(host)
    host, literal = name.text, name.address
    require_groups(options.kex)
    interfaces = select_interfaces(options, literal)
    entries = options.known_hosts.entries(host) if options.known_hosts is not None else []
    refuse_downgrade(host, options.mode, entries)
    if literal is not None:
        found = FoundService((literal,))
    else:
        found = await find_service(host, port, interfaces, options.resolvers or {})
    modes = select_modes(host, options.mode, entries, found)
    pinned = _select_pinned(host, found.addresses, entries)
    targets = [_make_target(address, port, options, found.record) for address in pinned]
    config = ClientConfig(
        server_name=name.server_name,
        strict_paths=options.strict_paths,
        allow_shared_path=options.allow_shared_path,
        modes=modes,
        groups=tuple(options.kex),
        fleet_keys={entry.fingerprint: entry.floor for entry in entries},
        stated_fleet_keys=found.fleet_keys,
        now=int(time.time()),
        name_key=select_name_key(modes, entries, found),
        key_log=options.key_log.log_key if options.key_log is not None else None,
    )
    started = time.monotonic()
    plan = ExchangePlan(
        interfaces, config, options.scheduler, options.cache, options.timeout, host, options.authorities
    )

    async def attempt(seconds: float) -> tuple[SessionDriver, Target]:
        began = time.monotonic()
        try:
            return await establish(targets, replace(plan, timeout=seconds))
        except PeerAborted as refusal:
            newer = read_replacement(refusal, config.name_key, config.fleet_keys or found.fleet_keys)
            if newer is None:
                raise  # the name goes sealed or not at all
        left = seconds - (time.monotonic() - began)
        resealed = replace(config, name_key=newer)
        return await establish(targets, replace(plan, timeout=left, config=resealed))

    session, target = await retry_while_draining(attempt, options.timeout)
    setup = time.monotonic() - started
    if options.strict_paths and options.as_table is not None:
        _require_distinct_origins(session, options.as_table)
    fleet_key = session.established.fleet_key
    first_contact = fleet_key is not None and not entries
    connection = _start_connection(session, target, interfaces, options, setup, first_contact)
    connection.discovery_notes = found.notes
    if fleet_key is not None and first_contact:
        established = session.established
        name_key = name_key_of_fleet(established)
        met = KnownHost(host, fleet_key, floor=established.revocation_floor, name_key=name_key)
        connection.key_note = _save_fleet_key(options.known_hosts, met)
    elif fleet_key is not None:
        connection.key_note = _keep_newer(options.known_hosts, session.established, entries)
    return connection


def _require_distinct_origins(session: SessionDriver, table: AsTable) -> None:
    """Raise `SharedPath`, and end the session, where both paths come from one AS."""
    first, second = (set(table.find_origins(seen.client.address)) for seen in session.established.observed)
    if common := first & second:
        session.abort()
        raise SharedPath(f"both paths come from AS{min(common)}")


def _keep_newer(known_hosts: KnownHosts | None, established: Established, entries: list[KnownHost]) -> str:
    """Save a newer revocation floor or name key than the remembered; return what the report says if that fails."""
    floor, key = established.revocation_floor, name_key_of_fleet(established)
    for entry in entries:
        if entry.fingerprint != established.fleet_key:
            continue
        newer_key = key is not None and key.replaces(entry.name_key)
        if not (newer_key or floor > entry.floor):
            continue
        assert known_hosts is not None  # it has the entry
        try:
            known_hosts.remember(replace(entry, floor=floor, name_key=key if newer_key else None))
        except OSError as error:
            return f"the fleet's revocation floor and name key are not saved: {error.strerror or error}"
    return ""


def _save_fleet_key(known_hosts: KnownHosts | None, found: KnownHost) -> str:
    """Save a fleet key met for the first time; return what the report says of it."""
    if known_hosts is None:
        return (
            "first use: fleet key not saved, no known-hosts file; only the two-path exchange authenticated it"
        )
    try:
        known_hosts.remember(found)
    except OSError as error:
        return f"first use: fleet key not saved in {known_hosts.path}: {error.strerror or error}"
    return "first use: fleet key saved; only the two-path exchange authenticated it"


def _start_connection(
    session: SessionDriver,
    target: Target,
    interfaces: tuple[str, str],
    options: ConnectOptions,
    setup: float,
    first_contact: bool,
) -> Connection:
    """Wrap the session in streams, and maintain its paths (transport tcp)."""
    loop = asyncio.get_running_loop()
    reader = CountingReader(READ_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    addresses = session.get_extra_info("addresses")
    session.schedule_steps(options.step_age, options.step_volume)
    session.start(protocol)
    writer = asyncio.StreamWriter(as_transport(session), protocol, reader, loop)
    known = {
        path: KnownPath(
            interfaces[path],
            addresses[path],
            seen,
            describe_route(interfaces[path], target.vip),
            loop.time(),
        )
        for path, seen in enumerate(session.established.observed)
    }
    tcp = options.transport == "tcp"
    keeper = PathMaintainer(session, target, known, options.strict) if tcp else None
    if keeper is not None:
        keeper.start()
    connection = Connection(
        reader, writer, session, target, known, options.transport, setup, keeper, first_contact
    )
    connection.as_table = options.as_table
    if options.event_log is not None:
        SessionRecorder(connection, options.event_log).start()
    return connection


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


def _make_target(address: Address, port: int, options: ConnectOptions, record: SvcbRecord | None) -> Target:
    """Return where to connect: what the options leave open is as the service record states."""
    base, locator = options.id_port_base, options.locator
    if record is not None:
        port = record.port or port
        base = base if base is not None else record.id_port_base
        locator = locator if locator is not None else record.locator
    return Target.at(address, port, base if base is not None else ID_PORT_BASE, locator)


def select_interfaces(options: ConnectOptions, literal: Address | None) -> tuple[str, str]:
    """Return the interfaces of both paths, to an address or to whatever is resolved. Raises `OnePathOnly`."""
    versions = (literal.version,) if literal else (4, 6)
    paths = options.paths if options.paths is not None else automatic_paths(versions)
    if len(paths) == 1 and options.allow_shared_path:
        return paths[0], paths[0]
    if len(paths) != 2:
        found = ", ".join(paths) or "none"
        raise OnePathOnly(
            "two paths are needed, interfaces given, with a default route, or to a relay (`sennit path`);"
            f" found: {found}"
        )
    return paths[0], paths[1]
