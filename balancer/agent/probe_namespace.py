"""The probe namespace: a client's place behind one more outside interface of the forwarder.

A probe from the edge's own namespace would never leave it, since the VIP is local there. So a veth pair leads into a
namespace of its own; `sennit forwarder load --outside UPLINK --outside probe0` attaches to the near end. Addresses are
of 198.18.0.0/15 (RFC 2544), a pair for each edge id: other edges' replies find their way back by the tunnel, and
no two edges' probes look alike.
"""

import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

NETWORK = IPv4Network("198.18.0.0/15")
NEAR, FAR = "probe0", "probe1"


class NamespaceRefused(Exception):
    """The namespace cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Addresses of the two ends."""

    near: IPv4Interface
    far: IPv4Interface

    @classmethod
    def of(cls, edge_id: int) -> "Pair":
        first = IPv4Address(int(NETWORK.network_address) + 2 * edge_id)
        return cls(IPv4Interface(f"{first}/31"), IPv4Interface(f"{first + 1}/31"))


def up(namespace: str, edge_id: int) -> None:
    """Make namespace, pair, addresses and route, whatever of them is there. Needs root; raises `NamespaceRefused`."""
    pair = Pair.of(edge_id)
    if namespace not in _ip("netns", "list").split():
        _ip("netns", "add", namespace)
    if not _exists(NEAR):
        _ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", namespace)
    _ip("address", "replace", str(pair.near), "dev", NEAR)
    _ip("link", "set", NEAR, "up")
    inside = ("-n", namespace)
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "address", "replace", str(pair.far), "dev", FAR)
    _ip(*inside, "link", "set", FAR, "up")
    _ip(*inside, "route", "replace", "default", "via", str(pair.near.ip), "dev", FAR)


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
