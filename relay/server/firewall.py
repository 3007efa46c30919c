"""The relay's nftables rules: peers reach the CDN's addresses and ports, and nothing else is forwarded.

One table of family inet, replaced as a whole. Rules are in force before the interface is there, and stay if the daemon
is killed.
"""

import ipaddress
import subprocess
from collections.abc import Iterable

from relay.server.settings import RelaySettings
from relay.wireguard.device import WireguardUnavailable
from smkex.transport.resolution.resolver_address import ResolverAddress

TABLE = "sennit_relay"
TIMEOUT = 20.0  # seconds for nft
KBYTES_PER_MEGABIT = 125


def relay_rules(settings: RelaySettings) -> str:
    """Return the table as a file of nft(8)."""
    tunnel = f'"{settings.interface}"'
    ports = ", ".join(settings.port)
    sets = [
        _address_set("cdn", settings.prefix),
        _resolver_set("resolvers_tcp", settings.resolvers),
        _resolver_set("resolvers_udp", [each for each in settings.resolvers if not each.protected]),
        *(_limit_sets(settings, name) for name in ("upload", "download", "opened", "held")),
    ]
    rate = settings.peer_rate * KBYTES_PER_MEGABIT
    over = f"limit rate over {rate} kbytes/second burst {max(rate // 4, 64)} kbytes"
    opened = f"limit rate over {settings.peer_connection_rate}/second burst {2 * settings.peer_connection_rate} packets"
    accepted = [
        f"{family} {what} jump admit"
        for version, family in ((4, "ip"), (6, "ip6"))
        for what in (
            f"daddr @cdn{version} tcp dport {{ {ports} }}",
            f"daddr . tcp dport @resolvers_tcp{version}",
            f"daddr . udp dport @resolvers_udp{version}",
        )
    ]
    lines = [
        f"table inet {TABLE} {{}}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        *sets,
        "chain input {",
        "  type filter hook input priority filter - 10; policy accept;",
        f'  iifname {tunnel} counter drop comment "a peer\'s packet for this host"',
        "}",
        "chain forward {",
        "  type filter hook forward priority filter - 10; policy drop;",
        f"  iifname {tunnel} goto from_peer",
        f"  oifname {tunnel} goto to_peer",
        '  counter drop comment "not of a peer"',
        "}",
        "chain from_peer {",
        f'  oifname {tunnel} counter drop comment "between peers"',
        f"  update @upload4 {{ ip saddr {over} }} counter drop",
        f"  update @upload6 {{ ip6 saddr {over} }} counter drop",
        *(f"  {each}" for each in accepted),
        "  ip daddr @cdn4 icmp type destination-unreachable ct state related accept",
        "  ip6 daddr @cdn6 icmpv6 type { destination-unreachable, packet-too-big } ct state related accept",
        '  counter reject with icmpx admin-prohibited comment "elsewhere"',
        "}",
        "chain admit {",
        "  ct state established accept",
        '  ct state != new counter drop comment "of no connection"',
        f"  update @opened4 {{ ip saddr {opened} }} counter drop",
        f"  update @opened6 {{ ip6 saddr {opened} }} counter drop",
        f"  add @held4 {{ ip saddr ct count over {settings.peer_connections} }} counter drop",
        f"  add @held6 {{ ip6 saddr ct count over {settings.peer_connections} }} counter drop",
        "  counter accept",
        "}",
        "chain to_peer {",
        f"  update @download4 {{ ip daddr {over} }} counter drop",
        f"  update @download6 {{ ip6 daddr {over} }} counter drop",
        "  ct state established,related accept",
        '  counter drop comment "unasked"',
        "}",
    ]
    if settings.source_nat:
        lines += [
            "chain source_nat {",
            "  type nat hook postrouting priority srcnat; policy accept;",
            f"  iifname {tunnel} masquerade",
            "}",
        ]
    return "\n".join([*lines, "}", ""])


def install_rules(settings: RelaySettings) -> None:
    """Put the rules in force, atomically. Raises `WireguardUnavailable`."""
    _run_nft(relay_rules(settings))


def remove_rules() -> None:
    """Remove the table where it is. Raises `WireguardUnavailable`."""
    _run_nft(f"table inet {TABLE} {{}}\ndelete table inet {TABLE}\n")


def _address_set(name: str, prefixes: Iterable[str]) -> str:
    networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
    found = []
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        elements = ", ".join(str(network) for network in networks if network.version == version)
        content = f" elements = {{ {elements} }};" if elements else ""
        found.append(f"set {name}{version} {{ type {kind}; flags interval; auto-merge;{content} }}")
    return "\n".join(found)


def _resolver_set(name: str, resolvers: Iterable[ResolverAddress]) -> str:
    """Addresses and ports; over TLS and HTTPS a resolver is reached at that port alone."""
    every = {(each.address, each.port) for each in resolvers}
    found = []
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        elements = ", ".join(sorted(f"{where} . {port}" for where, port in every if where.version == version))
        content = f" elements = {{ {elements} }};" if elements else ""
        found.append(f"set {name}{version} {{ type {kind} . inet_service;{content} }}")
    return "\n".join(found)


def _limit_sets(settings: RelaySettings, name: str) -> str:
    size = 2 * settings.max_peers
    # an element of a limit goes when it was unused for a while; one of a count, with the connections
    kept = "" if name == "held" else " timeout 1m;"
    return "\n".join(
        f"set {name}{version} {{ type {kind}; size {size}; flags dynamic;{kept} }}"
        for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr"))
    )


def _run_nft(rules: str) -> None:
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], input=rules, capture_output=True, text=True, timeout=TIMEOUT
        )
    except FileNotFoundError:
        raise WireguardUnavailable("nft is not installed", "`apt-get install nftables`") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WireguardUnavailable(f"nft: {error}") from None
    if done.returncode:
        said = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        hint = "run as root, or with CAP_NET_ADMIN" if "not permitted" in said else ""
        raise WireguardUnavailable(f"nft: {said}", hint)
