"""A phone with two links and an edge with the VIP behind both, each in a namespace and process of its own."""

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

PEER = Path(__file__).with_name("peer.py")
ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}"}
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
            env=ENVIRONMENT,
        )
        assert self._edge.stdout is not None
        assert self._edge.stdout.readline() == "ready\n"

    def stop_edge(self) -> None:
        if self._edge is not None:
            self._edge.kill()
            self._edge.communicate()
            self._edge = None

    def ask(self, times: int, port_base: int = 10000) -> Any:
        with self.client("ask", times, port_base) as client:
            return json.loads(client.communicate(timeout=60)[0])

    def client(self, *arguments: object) -> "subprocess.Popen[str]":
        command = ["ip", "netns", "exec", self.phone, sys.executable, str(PEER)]
        return subprocess.Popen(
            [*command, *(str(argument) for argument in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
        )

    def sent(self, link: str) -> int:
        """Bytes that the edge sent by `link`."""
        shown = json.loads(self.run("ip", "-n", self.server, "-j", "-s", "link", "show", link))
        return int(shown[0]["stats64"]["tx"]["bytes"])

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
