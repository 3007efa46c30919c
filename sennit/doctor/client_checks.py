"""Checks of a client's host: two paths that differ, their routes and MTU, names, and whether the CDN answers."""

import asyncio
import ipaddress
import socket
from dataclasses import replace
from pathlib import Path

import smkex
from sennit.doctor.check_result import CheckResult, Report
from sennit.doctor.host_checks import read_sysctl
from smkex.client.explain import explain_error
from smkex.client.options import ConnectOptions
from smkex.core.errors import AddressDisagrees, SharedPath, SmkexError
from smkex.transport.resolution.discovery import FoundService, find_service, select_resolvers
from smkex.transport.routes.paths import (
    EgressRoute,
    PathUnusable,
    automatic_paths,
    connect_from,
    default_interfaces,
    find_egress,
    require_distinct_egress,
)
from smkex.transport.routes.relay_paths import RelayPath, read_relay_paths
from smkex.transport.routes.routes import Address
from smkex.transport.routes.target import format_endpoint

SMALLEST_MTU = 1280  # RFC 8200 section 5
CONNECT_TIMEOUT = 5.0  # seconds
IP_MTU, IPV6_MTU = 14, 24  # linux/in.h, in6.h
ELSEWHERE = ipaddress.ip_address("192.0.2.1")  # any destination (RFC 5737): nothing is sent there


async def check_client(report: Report, host: str | None, port: int, options: ConnectOptions) -> None:
    """Report on the paths of this host, and with `host` on the way to it."""
    interfaces = list(options.paths or automatic_paths())
    if len(interfaces) < 2:
        named = (
            f"only {interfaces[0]} has a default route" if interfaces else "no interface has a default route"
        )
        report(
            CheckResult.error(
                "interfaces",
                named,
                "connect a second network, give two with --path, or add a path through a relay (`sennit path add`);"
                " `ip route show default`",
            )
        )
    else:
        report(CheckResult.fine("interfaces", ", ".join(interfaces)))
    for interface in interfaces:
        report(_check_mtu(interface))
        if len(interfaces) > 1:
            report(_check_reverse_path(interface))
    addresses = (
        await _resolve_host(report, host, port, interfaces, options) if host is not None else (ELSEWHERE,)
    )
    for address in addresses[:1]:
        usable = _check_routes(report, interfaces, address)
        if host is None:
            continue
        reached = [await _check_service(report, each, address, port) for each in usable]
        if len(usable) == 2 and all(reached):
            report(await _check_session(host, port, replace(options, paths=interfaces[:2])))


def _check_mtu(interface: str) -> CheckResult:
    check = f"MTU of {interface}"
    try:
        mtu = int(Path("/sys/class/net", interface, "mtu").read_text())
    except (OSError, ValueError):
        return CheckResult.error(
            check, f"there is no interface {interface}", "`ip link`: name one that exists"
        )
    if mtu < SMALLEST_MTU:
        return CheckResult.error(
            check, f"{mtu} bytes", f"`ip link set {interface} mtu 1500`, at least {SMALLEST_MTU}"
        )
    return CheckResult.fine(check, f"{mtu} bytes")


def _check_reverse_path(interface: str) -> CheckResult:
    check = f"rp_filter of {interface}"
    values = [read_sysctl(f"net.ipv4.conf.{each}.rp_filter") for each in ("all", interface)]
    if max(int(value) if value and value.isdigit() else 0 for value in values) == 1:  # the larger counts
        return CheckResult.error(
            check,
            "strict (1): answers by the path that is not the default route's are dropped",
            f"`sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{interface}.rp_filter=2`",
        )
    return CheckResult.fine(check, "not strict")


async def _resolve_host(
    report: Report, host: str, port: int, interfaces: list[str], options: ConnectOptions
) -> tuple[Address, ...]:
    """Resolve over each path, and then over both."""
    try:
        return (ipaddress.ip_address(host),)
    except ValueError:
        pass
    results = [await _check_resolver(report, host, port, interface, options) for interface in interfaces]
    if not all(results) or len(interfaces) < 2:
        return ()
    both = (interfaces[0], interfaces[1])
    try:
        found = await find_service(host, port, both, options.resolvers or {})
    except (OSError, AddressDisagrees) as error:
        report(
            CheckResult.error(
                "DNS", str(error), "one resolver lies, or is split: ask another with --resolver"
            )
        )
        return ()
    if found.notes:
        hint = (
            "one resolver may still have an older answer, drop unknown records, or lie: compare with another"
        )
        report(CheckResult.warning("service records", "; ".join(found.notes), hint))
    else:
        report(CheckResult.fine("service records", _describe_record(found)))
    return found.addresses


async def _check_resolver(
    report: Report, host: str, port: int, interface: str, options: ConnectOptions
) -> bool:
    """Ask the resolver of one path alone; report which it is and what it answers."""
    check = f"DNS over {interface}"
    try:
        servers = await select_resolvers(interface, options.resolvers or {})
        found = await find_service(host, port, (interface, interface), options.resolvers or {})
    except (OSError, SmkexError, ValueError) as error:
        hint = (
            f"give a resolver that this network reaches with --resolver {interface}=ADDRESS (plain, port 53),"
            " tls://ADDRESS#NAME (port 853) or https://ADDRESS/dns-query#NAME; check the name"
        )
        report(CheckResult.error(check, str(error), hint))
        return False
    said = f"{', '.join(map(str, found.addresses))} by {', '.join(map(str, servers))}"
    report(CheckResult.fine(check, said))
    return True


def _describe_record(found: FoundService) -> str:
    record = found.record
    if record is None:
        return "none"
    stated = [f"sessions go to {record.target}"]
    if record.port is not None:
        stated.append(f"port {record.port}")
    if record.locator is not None:
        stated.append(f"locators are {record.locator.name.lower()}s")
    if found.fleet_keys:
        stated.append(f"fleet key {', '.join(sorted(found.fleet_keys))}")
    stated.append("name key" if record.name_key is not None else "no name key")
    return ", ".join(stated)


def _check_routes(report: Report, interfaces: list[str], address: Address) -> list[str]:
    """Return the interfaces that lead to the address."""
    routes: list[EgressRoute] = []
    for interface in interfaces:
        check = f"route by {interface}"
        try:
            relay = read_relay_paths().get(interface)
            elsewhere = relay is not None and address == ELSEWHERE
            route = find_egress(interface, _any_destination(relay) if relay and elsewhere else address)
        except PathUnusable as error:
            hint = f"`ip route add default via GATEWAY dev {interface} metric N`; the interface up, with an address"
            report(CheckResult.error(check, str(error), hint))
            continue
        routes.append(route)
        if relay is not None:
            found = f"from {route.source} inside WireGuard to relay {relay.relay} at {relay.endpoint}"
            report(CheckResult.fine(check, f"{found}, which leaves by {relay.underlay}"))
            continue
        if route.gateway is None and interface not in default_interfaces(address.version):
            found = f"none but the link itself: the kernel takes {address} for a neighbour"
            hint = f"`ip route add default via GATEWAY dev {interface} metric N`, unless that is so"
            report(CheckResult.warning(check, found, hint))
            continue
        report(CheckResult.fine(check, f"from {route.source} by {route.gateway or 'the link itself'}"))
    if len(routes) == 2:
        try:
            require_distinct_egress(*routes)
            report(CheckResult.fine("two paths", "leave by different interfaces and next hops"))
        except SharedPath as error:
            report(
                CheckResult.error(
                    "two paths", str(error), "a second network that does not share the next hop"
                )
            )
    return [route.interface for route in routes]


def _any_destination(relay: RelayPath) -> Address:
    """Return an address that a relay leads to: it leads nowhere else."""
    return ipaddress.ip_network(relay.prefixes[0]).network_address


async def _check_service(report: Report, interface: str, address: Address, port: int) -> bool:
    """Connect to the service port; report the MTU that the kernel knows of the path."""
    check = f"{format_endpoint(str(address), port)} over {interface}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            connected = await connect_from(interface, address, port)
    except (OSError, TimeoutError, SmkexError) as error:
        found = str(error) or f"no answer within {CONNECT_TIMEOUT:g} s"
        report(
            CheckResult.error(
                check, found, f"a firewall on the way, or the CDN is down; `traceroute -i {interface}`"
            )
        )
        return False
    with connected:
        level, option = (
            (socket.IPPROTO_IP, IP_MTU) if address.version == 4 else (socket.IPPROTO_IPV6, IPV6_MTU)
        )
        report(
            CheckResult.fine(check, f"connected; MTU of the path {connected.getsockopt(level, option)} bytes")
        )
    return True


async def _check_session(host: str, port: int, options: ConnectOptions) -> CheckResult:
    """Set up a session: the second path goes to the locator of an edge."""
    try:
        connection = await smkex.connect(host, port=port, options=options)
    except (SmkexError, OSError, TimeoutError) as error:
        explained = explain_error(error)
        hint = explained.hint or "the locator's port must be open on the second path, too"
        return CheckResult.error("session over both paths", explained.text, hint)
    found = f"edge {connection.session.established.edge_id}, mode {connection.session.established.mode.name.lower()}"
    await connection.close()
    return CheckResult.fine("session over both paths", found)
