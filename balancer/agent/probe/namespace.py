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
NEAR, FAR = "probe0", "probe1"


class NamespaceRefused(Exception):
    """The namespace cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Addresses of the two ends."""

    near: Interface
    far: Interface

    @classmethod
    def of(cls, edge_id: int, version: int = 4) -> "Pair":
        network = NETWORK if version == 4 else NETWORK_V6
        first = network.network_address + 2 * edge_id
        length = network.max_prefixlen - 1
        return cls(ip_interface(f"{first}/{length}"), ip_interface(f"{first + 1}/{length}"))


def up(namespace: str, edge_id: int, versions: tuple[int, ...] = (4,)) -> None:
    """Make namespace, pair, addresses and route, whatever of them is there. Needs root; raises `NamespaceRefused`."""
    if namespace not in _ip("netns", "list").split():
        _ip("netns", "add", namespace)
    if not _exists(NEAR):
        _ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", namespace)
    inside = ("-n", namespace)
    _ip("link", "set", NEAR, "up")
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "link", "set", FAR, "up")
    for version in versions:
        pair = Pair.of(edge_id, version)
        # nobody else is on this cable: no time is lost with looking for a duplicate
        for at, end, device in (((), pair.near, NEAR), (inside, pair.far, FAR)):
            _ip(*at, "address", "replace", str(end), "dev", device, *(["nodad"] if version == 6 else []))
        _ip(*inside, f"-{version}", "route", "replace", "default", "via", str(pair.near.ip), "dev", FAR)


def down(namespace: str) -> bool:
    """Remove pair and namespace; whether there was anything."""
    there = _exists(NEAR)
    if there:
        _ip("link", "del", NEAR)
    if namespace in _ip("netns", "list").split():
        _ip("netns", "del", namespace)
        there = True
    return there


def _exists(interface: str) -> bool:
    return subprocess.run(["ip", "link", "show", interface], capture_output=True).returncode == 0


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise NamespaceRefused(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
