"""The probe namespace: a client's place behind one more outside interface of the forwarder.

A probe from the edge's own namespace would never leave it, since the VIP is local there. So a veth pair leads into a
namespace of its own; `sennit forwarder load --outside UPLINK --outside probe0` attaches to the near end.

Addresses are of 198.18.0.0/15 (RFC 2544) and 2001:2::/48 (RFC 5180), a pair for each edge id: other edges' replies find
their way back by the tunnel, and no two edges' probes look alike.
"""

import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface

NETWORK = IPv4Network("198.18.0.0/15")
NETWORK_V6 = IPv6Network("2001:2::/48")  # the same purpose: RFC 5180
Interface = IPv4Interface | IPv6Interface
HOST_INTERFACE, PROBE_INTERFACE = "probe0", "probe1"


class NamespaceRefused(Exception):
    """The namespace cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class ProbeAddresses:
    """Addresses of the two ends."""

    near: Interface
    far: Interface

    @classmethod
    def of(cls, edge_id: int, version: int = 4) -> "ProbeAddresses":
        network = NETWORK if version == 4 else NETWORK_V6
        first = network.network_address + 2 * edge_id
        length = network.max_prefixlen - 1
        return cls(ip_interface(f"{first}/{length}"), ip_interface(f"{first + 1}/{length}"))


def create_namespace(namespace: str, edge_id: int, versions: tuple[int, ...] = (4,)) -> None:
    """Make namespace, pair, addresses and route, whatever of them is there. Needs root; raises `NamespaceRefused`."""
    if namespace not in _run_ip("netns", "list").split():
        _run_ip("netns", "add", namespace)
    if not _interface_exists(HOST_INTERFACE):
        _run_ip(
            "link", "add", HOST_INTERFACE, "type", "veth", "peer", "name", PROBE_INTERFACE, "netns", namespace
        )
    for words in near_end_commands(edge_id, versions):
        _run_ip(*words.split())
    for words in far_end_commands(edge_id, versions):
        _run_ip("-n", namespace, *words.split())


def near_end_commands(edge_id: int, versions: tuple[int, ...]) -> list[str]:
    """Return ip's words that set up the edge's end of the pair; harmless to run again."""
    pairs = [ProbeAddresses.of(edge_id, version) for version in versions]
    return [f"link set {HOST_INTERFACE} up", *(_address_words(pair.near, HOST_INTERFACE) for pair in pairs)]


def far_end_commands(edge_id: int, versions: tuple[int, ...]) -> list[str]:
    """Return ip's words that set up the end that probes come from; harmless to run again."""
    words = ["link set lo up", f"link set {PROBE_INTERFACE} up"]
    for version in versions:
        pair = ProbeAddresses.of(edge_id, version)
        words += [
            _address_words(pair.far, PROBE_INTERFACE),
            f"-{version} route replace default via {pair.near.ip} dev {PROBE_INTERFACE}",
        ]
    return words


def _address_words(address: Interface, interface: str) -> str:
    # no other host is on this link: skip duplicate address detection
    return f"address replace {address} dev {interface}{' nodad' if address.version == 6 else ''}"


def remove_namespace(namespace: str) -> bool:
    """Remove pair and namespace; whether there was anything."""
    there = _interface_exists(HOST_INTERFACE)
    if there:
        _run_ip("link", "del", HOST_INTERFACE)
    if namespace in _run_ip("netns", "list").split():
        _run_ip("netns", "del", namespace)
        there = True
    return there


def _interface_exists(interface: str) -> bool:
    return subprocess.run(["ip", "link", "show", interface], capture_output=True).returncode == 0


def _run_ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise NamespaceRefused(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
