"""A client with one interface, a relay, and the world behind it, which has the CDN's addresses and others."""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from relay_process import ClientPaths, RelayProcess, poll_until, remove_namespace

V4, V6 = "203.0.113.1", "2001:db8:5e::1"
RESOLVER, ELSEWHERE = "198.51.100.53", "198.51.100.9"
ELSEWHERE_V6 = "2001:db8:99::9"
_numbers = itertools.count()


class RelayPlace:
    """Namespaces `client`, `relay`, `world`. eth0 of the client is 10.1.0.2, and the relay is 10.1.0.1 to it."""

    def __init__(self, folder: Path) -> None:
        suffix = f"{os.getpid()}-{next(_numbers)}"
        self.names = {node: f"rl-{node}-{suffix}" for node in ("client", "relay", "world")}
        self.folder = folder
        self.relay = RelayProcess(
            self.enter("relay"),
            folder / "relay",
            *("--endpoint", "10.1.0.1", "--endpoint", "2001:db8:1::1"),
            *("--prefix", "203.0.113.0/24", "--prefix", "2001:db8:5e::/64"),
            *("--resolver", RESOLVER, "--name", "test"),
        )
        self.paths = ClientPaths(self.enter("client"), folder)

    def enter(self, node: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.names[node]}", "--"]

    def in_(self, node: str, *command: str) -> str:
        done = subprocess.run([*self.enter(node), *command], capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def up(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
        for node in self.names:
            self.in_(node, "ip", "link", "set", "lo", "up")
        self.link("client", "eth0", "relay", "down0", 1)
        self.link("world", "eth0", "relay", "up0", 2)
        for version, net in (("-4", "10.1.0.1"), ("-6", "2001:db8:1::1")):
            self.in_("client", "ip", version, "route", "add", "default", "via", net, "dev", "eth0")
        for version, net in (("-4", "10.2.0.2"), ("-6", "2001:db8:2::2")):
            self.in_("relay", "ip", version, "route", "add", "default", "via", net, "dev", "up0")
        self.in_("relay", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for address in (f"{V4}/32", f"{RESOLVER}/32", f"{ELSEWHERE}/32", f"{V6}/128", f"{ELSEWHERE_V6}/128"):
            self.in_("world", "ip", "address", "add", address, "dev", "lo")

    def link(self, first: str, one: str, second: str, other: str, net: int) -> None:
        peer = ("type", "veth", "peer", "name", other, "netns", self.names[second])
        self.in_(first, "ip", "link", "add", one, *peer)
        for node, name, host in ((first, one, 2), (second, other, 1)):
            self.in_(node, "ip", "address", "add", f"10.{net}.0.{host}/24", "dev", name)
            self.in_(node, "ip", "address", "add", f"2001:db8:{net}::{host}/64", "dev", name, "nodad")
            self.in_(node, "ip", "link", "set", name, "addrgenmode", "none")
            self.in_(node, "ip", "link", "set", name, "up")
        for node, name in ((first, one), (second, other)):
            poll_until(lambda: "state UP" in self.in_(node, "ip", "link", "show", name), lambda: name)  # noqa: B023

    def down(self) -> None:
        self.relay.stop()
        for name in self.names.values():
            remove_namespace(name)


@contextlib.contextmanager
def relay_place(folder: Path) -> Iterator[RelayPlace]:
    made = RelayPlace(folder)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RelayPlace]:
    with relay_place(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayPlace]:
    """For tests that look at the same relay and leave it as it is."""
    with relay_place(tmp_path_factory.mktemp("place")) as made:
        yield made
