"""TCP Fast Open on the secondary subflow: the kernel's own counters say that ClientNonce came in the SYN."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("root", "netns")

PEER = Path(__file__).with_name("peer.py")
ROOT = Path(__file__).parents[3]
OLD, NEW = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
_numbers = itertools.count()


class Place:
    """`phone` with cell0 and wifi0, `server` with the VIP behind both; the kernels of both allow Fast Open."""

    def __init__(self) -> None:
        suffix = f"{os.getpid()}-{next(_numbers)}"
        self.phone, self.server = f"fo-phone-{suffix}", f"fo-server-{suffix}"
        self._edge: subprocess.Popen[str] | None = None

    def up(self) -> None:
        for name in (self.phone, self.server):
            self.run("ip", "netns", "add", name)
            self.run("ip", "-n", name, "link", "set", "lo", "up")
            self.run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.tcp_fastopen=3")
        for net, link in ((1, "cell0"), (2, "wifi0")):
            peer = f"type veth peer {link} netns {self.server}".split()
            self.run("ip", "-n", self.phone, "link", "add", link, *peer)
            for name, host in ((self.phone, 2), (self.server, 1)):
                self.run("ip", "-n", name, "address", "add", f"10.{net}.0.{host}/24", "dev", link)
                self.run("ip", "-n", name, "link", "set", link, "up")
            route = f"default via 10.{net}.0.1 dev {link} metric {net}00".split()
            self.run("ip", "-n", self.phone, "route", "add", *route)
        self.run("ip", "-n", self.server, "address", "add", "203.0.113.1/32", "dev", "lo")

    def down(self) -> None:
        self.stop_edge()
        for name in (self.phone, self.server):
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run("ip", "netns", "del", name)

    def run(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def start_edge(self, keys: Path) -> None:
        self._edge = subprocess.Popen(
            ["ip", "netns", "exec", self.server, sys.executable, str(PEER), "edge", str(keys)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._edge.stdout is not None
        assert self._edge.stdout.readline() == "ready\n"

    def stop_edge(self) -> None:
        if self._edge is not None:
            self._edge.kill()
            self._edge.communicate()
            self._edge = None

    def ask(self, times: int, port_base: int = 10000) -> Any:
        command = ["ip", "netns", "exec", self.phone, sys.executable, str(PEER), "client"]
        return json.loads(self.run(*command, str(times), str(port_base)))

    def counter(self, name: str) -> int:
        lines = self.run("ip", "netns", "exec", self.server, "cat", "/proc/net/netstat").splitlines()
        return int(dict(zip(lines[0].split(), lines[1].split(), strict=True))[name])


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    try:
        made.up()
        yield made
    finally:
        made.down()


def test_the_nonce_comes_in_the_syn_once_a_cookie_is_known(place: Place, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{OLD}\n")
    place.start_edge(keys)
    assert place.ask(3) == ["hello"] * 3
    assert place.counter("TCPFastOpenCookieReqd") == 1
    assert place.counter("TCPFastOpenPassive") == 2
    # another edge of the fleet, after a rotation: the cookie still counts
    place.stop_edge()
    keys.write_text(f"{NEW}\n{OLD}\n")
    place.start_edge(keys)
    assert place.ask(2) == ["hello"] * 2
    assert place.counter("TCPFastOpenPassive") == 4
    assert place.counter("TCPFastOpenPassiveAltKey") >= 1


def test_a_refusal_has_the_same_name_with_a_cookie_as_without(place: Place, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{OLD}\n")
    place.start_edge(keys)
    for _ in range(2):
        assert place.ask(1, port_base=20000) == ["OnePathOnly"]
        assert place.ask(1) == ["hello"]


def test_without_the_kernel_s_leave_the_handshake_is_an_ordinary_one(place: Place, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{OLD}\n")
    place.run("ip", "netns", "exec", place.server, "sysctl", "-qw", "net.ipv4.tcp_fastopen=1")
    place.start_edge(keys)
    assert place.ask(2) == ["hello"] * 2
    assert place.counter("TCPFastOpenPassive") == 0
