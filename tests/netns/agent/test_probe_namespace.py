"""The probe namespace is made, made again, and removed; its far end reaches the near one in both families."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from balancer.agent.probe.namespace import ProbeAddresses
from node.state.identity import NodeIdentity, write_identity
from node.vip import Vip

pytestmark = pytest.mark.needs("root", "netns")

FAMILIES = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}
SENNIT = Path(sys.executable).with_name("sennit")


@pytest.fixture
def host() -> Iterator[str]:
    name = f"ph-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    for space in (name, f"{name}-probe"):
        subprocess.run(["ip", "netns", "del", space], capture_output=True)


def probe(host: str, state: Path, action: str) -> str:
    command = [SENNIT, "probe", action, "--state", state, "--namespace", f"{host}-probe"]
    # nsenter leaves /sys and /run alone, unlike ip netns exec: what is made stays visible
    words = ["nsenter", f"--net=/run/netns/{host}", "--", *map(str, command)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stderr


def test_it_is_made_again_and_removed(host: str, tmp_path: Path) -> None:
    vip = Vip("main", "203.0.113.1", "2001:db8::1:0")
    write_identity(tmp_path, NodeIdentity(300, "edge300", vip))
    for _ in range(2):
        assert "198.18.2.89 2001:2::259" in probe(host, tmp_path, "up")
    for version in (4, 6):
        near = str(ProbeAddresses.of(300, version).near.ip)
        # no listener there, so the kernel resets: packets pass in both directions
        script = f"import socket, sys; sys.exit(socket.socket({FAMILIES[version]}).connect_ex(('{near}', 9)))"
        inside = ["ip", "netns", "exec", f"{host}-probe", sys.executable, "-c", script]
        assert subprocess.run(inside, capture_output=True, timeout=20).returncode == errno.ECONNREFUSED, near
    assert "removed" in probe(host, tmp_path, "down")
    assert "there was none" in probe(host, tmp_path, "down")
    left = subprocess.run(["ip", "-n", host, "link", "show", "probe0"], capture_output=True)
    assert left.returncode != 0
