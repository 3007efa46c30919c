"""Tunnels between edges inside WireGuard (in userspace), a backbone whose packets have no Ethernet header."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork

from balancer.model.table import Encapsulation
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc", "wireguard")

VIP, LOCATOR_OF_1 = "203.0.113.1", 10001
SIZE = 4 << 20
PORT = 51820
EDGES = ("edge1", "edge2")


def device(edge: str) -> str:
    """Unique on the machine: WireGuard's control sockets lie in one folder for all namespaces."""
    return f"wg{edge[-1]}-{os.getpid()}"


def wg(*words: str, given: str = "") -> str:
    return subprocess.run(
        ["wg", *words], input=given, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def guarded(network: ForwarderNetwork, tmp_path: Path) -> Iterator[ForwarderNetwork]:
    """Tunnels end at WireGuard's interfaces; the one way with IP in IP, the other with GUE."""
    running = []
    private = {edge: wg("genkey") for edge in EDGES}
    try:
        for edge in EDGES:
            command = [*network.enter(edge), "wireguard-go", "--foreground", device(edge)]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for edge, other in zip(EDGES, reversed(EDGES), strict=True):
            key = tmp_path / f"{edge}.key"
            key.write_text(private[edge])
            at = network.enter(edge)
            show = [*at, "wg", "show", device(edge)]
            network.until(lambda: subprocess.run(show, capture_output=True).returncode == 0, "its socket")  # noqa: B023
            peer = ("peer", wg("pubkey", given=private[other]), "endpoint", f"10.255.0.{other[-1]}:{PORT}")
            own = ("listen-port", str(PORT), "private-key", str(key))
            network.in_(
                edge, "wg", "set", device(edge), *own, *peer, "allowed-ips", f"10.254.0.{other[-1]}/32"
            )
            network.in_(edge, "ip", "address", "add", f"10.254.0.{edge[-1]}/24", "dev", device(edge))
            network.in_(edge, "ip", "link", "set", device(edge), "up", "mtu", "1420")
        network.edges = tuple(
            replace(edge, tunnel_v4=f"10.254.0.{edge.id}", encapsulation=kind)
            for edge, kind in zip(network.edges, Encapsulation, strict=True)
        )
        network.publish()
        for edge in EDGES:
            network.forwarder(edge, "load", "--outside", "up0", "--backbone", device(edge))
        network.applied()
        yield network
    finally:
        for each in running:
            each.terminate()
            each.wait(10)


def test_a_second_path_goes_both_ways_through_wireguard(guarded: ForwarderNetwork) -> None:
    with guarded.open_socket("edge1") as listener:
        listener.bind((VIP, LOCATOR_OF_1))
        listener.listen()
        with guarded.dial(LOCATOR_OF_1) as client, listener.accept()[0] as served:
            served.settimeout(60)
            client.settimeout(60)
            carry(served, client, SIZE)
            carry(client, served, SIZE)
    owner, ingress = guarded.count("edge1"), guarded.count("edge2")
    for counted, reason in (
        (ingress, Reason.FORWARDED),
        (owner, Reason.DELIVERED),
        (owner, Reason.REPLY_FORWARDED),
        (ingress, Reason.REPLY_RETURNED),
    ):
        assert counted[reason] > 0, reason
    drops = [each for each in Reason if each.name.startswith("DROP_")]
    assert {each: count for one in (owner, ingress) for each in drops if (count := one[each])} == {}
    for edge in EDGES:
        transfer = guarded.in_(edge, "wg", "show", device(edge), "transfer").split()
        assert min(map(int, transfer[1:])) > SIZE // 2, "it was WireGuard that carried the bytes"
