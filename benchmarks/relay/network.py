"""A client, two relays and the CDN in namespaces: one relay as it is, one with nothing of it but WireGuard and NAT.

Both tunnels are of one implementation, that of this host: the kernel's, else wireguard-go. Root.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SENNIT = str(Path(sys.executable).with_name("sennit"))
CDN = "203.0.113.1"
RELAYS = ("limited", "plain")
NODES = ("client", "cdn", *RELAYS)
RATE = "100000"  # Mbit/s of one client: no limit here
PLAIN_RULES = (
    "delete table inet sennit_relay; add table ip plain;"
    " add chain ip plain out { type nat hook postrouting priority srcnat; }; add rule ip plain out masquerade"
)
TIMEOUT = 60.0  # seconds


class RelayNetwork:
    """Namespaces that exist inside the `with` block of `relay_network`; interfaces of the client by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        number = os.getpid()
        self.interfaces = {name: f"b{name[0]}{number}" for name in RELAYS} | {"direct": "direct0"}

    def enter(self, node: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self._name(node)}", "--"]

    def up(self) -> None:
        for node in NODES:
            _run("ip", "netns", "add", self._name(node))
            self._stack.callback(_run, "ip", "netns", "del", self._name(node))
            self._in(node, "ip", "link", "set", "lo", "up")
        self._in("cdn", "ip", "address", "add", f"{CDN}/32", "dev", "lo")
        self._link("client", "direct0", "cdn", "direct1", "10.9.0")
        self._in("client", "ip", "route", "add", f"{CDN}/32", "via", "10.9.0.2", "dev", "direct0")
        for net, relay in enumerate(RELAYS, 1):
            self._link("client", f"up{net}", relay, "down0", f"10.{net}.0")
            self._link(relay, "up0", "cdn", f"{relay}0", f"10.{net}.1")
            self._in(relay, "ip", "route", "add", "default", "via", f"10.{net}.1.2")
            self._in(relay, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            self._start_relay(relay, net)
        self._in("plain", "nft", PLAIN_RULES)

    def down(self) -> None:
        self._stack.close()

    def _start_relay(self, relay: str, net: int) -> None:
        folder = self._folder / relay
        folder.mkdir()
        log = folder / "log"
        address, network = f"10.{net}.0.2", f"10.7{net}.0.0/16"
        command = [*self.enter(relay), SENNIT, "relay", "run", "--state", str(folder), "--endpoint", address]
        limits = ("--prefix", f"{CDN}/32", "--network", network, "--peer-rate", RATE, "--port", "443")
        interface = f"r{self.interfaces[relay]}"
        with log.open("w") as output:
            process = subprocess.Popen([*command, "--interface", interface, *limits], stderr=output)
        self._stack.callback(_end_process, process)
        _wait_for(lambda: "ready" in log.read_text().splitlines(), log.read_text)
        given = self._in(relay, SENNIT, "relay", "add", "client", "--state", str(folder))
        store = ("--store", str(self._folder / "store"), "--interface", f"up{net}")
        self._in("client", SENNIT, "path", "add", self.interfaces[relay], *store, given=given)
        remove = ("path", "remove", self.interfaces[relay], *store[:2])
        self._stack.callback(self._in, "client", SENNIT, *remove)

    def _link(self, first: str, one: str, second: str, other: str, net: str) -> None:
        peer = ("type", "veth", "peer", "name", other, "netns", self._name(second))
        self._in(first, "ip", "link", "add", one, *peer)
        for node, name, host in ((first, one, 1), (second, other, 2)):
            self._in(node, "ip", "address", "add", f"{net}.{host}/24", "dev", name)
            self._in(node, "ip", "link", "set", name, "up")

    def _in(self, node: str, *command: str, given: str = "") -> str:
        environment = {"SENNIT_PATHS": str(self._folder / "described")}
        return _run(*self.enter(node), *command, given=given, environment=environment)

    def _name(self, node: str) -> str:
        return f"br-{node}-{os.getpid()}"


@contextlib.contextmanager
def relay_network() -> Iterator[RelayNetwork]:
    with tempfile.TemporaryDirectory() as folder:
        network = RelayNetwork(Path(folder))
        try:
            network.up()
            yield network
        finally:
            network.down()


def _run(*command: str, given: str = "", environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def _end_process(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(TIMEOUT)


def _wait_for(ready: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(what())
        time.sleep(0.05)
