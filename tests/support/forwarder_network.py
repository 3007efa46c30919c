"""A phone on two links, an edge behind each, a backbone; edge 1's own route to the phone is its own link."""

import contextlib
import ctypes
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from compiled_object import available_object
from signed_table import write_signed_table

from balancer.datapath.maps.counters import read_counters
from balancer.model.table import EdgeState, ForwardingTable, Site, TableEdge
from balancer.model.verdict import Reason
from node.state.identity import NodeIdentity, write_identity
from node.vip import Locator, Vip

VIP = Vip("main", "203.0.113.1", None)
DUAL = Vip("main", "203.0.113.1", "2001:db8:5e::1")
BY_ADDRESS = Vip("address", "198.18.7.0", "2001:db8:a::", locator=Locator.ADDRESS)
EDGES = tuple(TableEdge(number, f"edge{number}", f"10.255.0.{number}", None) for number in (1, 2, 3))
LINKS = {"edge1": "cell0", "edge2": "wifi0", "edge3": "lte0"}  # the phone's
SENNIT = Path(sys.executable).with_name("sennit")
CLONE_NEWNET = 0x40000000
WAYS = (
    Reason.FORWARDED,
    Reason.DELIVERED,
    Reason.REPLY_FORWARDED,
    Reason.REPLY_RETURNED,
    Reason.REPLY_DIRECT,
)
STILL = 10  # reads of a counter that say the same, a fiftieth of a second apart
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def until(condition: Callable[[], bool], what: str | Callable[[], str], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what() if callable(what) else what}"
        time.sleep(0.02)


class ForwarderNetwork:
    """Namespaces, links, routes, and the forwarders of two edges or three; IPv6 too if it is `dual`.

    Every `load` that names no other programs loads those of the object compiled ahead, or compiles with `from_source`.
    """

    def __init__(self, folder: Path, dual: bool = False, count: int = 2, from_source: bool = False) -> None:
        ahead = None if from_source else available_object()
        self._programs = ("--object", str(ahead)) if ahead else ("--programs", "source")
        self._dual = dual
        self.names = tuple(LINKS)[:count]
        self.vips = (DUAL, BY_ADDRESS) if dual else (VIP,)
        self.edges = EDGES[:count]
        self.sites: tuple[Site, ...] = ()
        self._suffix = f"{os.getpid()}-{next(_numbers)}"
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.generation = 0

    until = staticmethod(until)
    sennit = str(SENNIT)

    def name(self, node: str) -> str:
        return f"fw-{node}-{self._suffix}"

    def enter(self, node: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name(node)}", "--"]

    def in_(self, node: str, *command: str) -> str:
        return run(*self.enter(node), *command)

    def state(self, edge: str) -> Path:
        return self.folder / edge

    def up(self) -> None:
        for node in ("phone", *self.names, "backbone"):
            run("ip", "netns", "add", self.name(node))
            if not self._dual:
                self.in_(node, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            self.in_(node, "ip", "link", "set", "lo", "up")
        self.in_("backbone", "ip", "link", "add", "br0", "up", "type", "bridge")
        for number, edge in enumerate(self.names, start=1):
            link = LINKS[edge]
            self._link("phone", link, edge, "up0")
            self._link("backbone", edge, edge, "bb0")
            self.in_("backbone", "ip", "link", "set", edge, "master", "br0")
            self.in_("phone", "ip", "address", "add", f"10.{number}.0.2/24", "dev", link)
            gateway = ("via", f"10.{number}.0.1", "dev", link, "metric", str(number * 100))
            self.in_("phone", "ip", "route", "add", "default", *gateway)
            # also what its kernel sends for no socket, such as a RST for what comes after a connection's end
            self.steer(f"10.{number}.0.2", edge)
            self.in_(edge, "ip", "address", "add", f"10.{number}.0.1/24", "dev", "up0")
            self.in_(edge, "ip", "address", "add", f"10.255.0.{number}/24", "dev", "bb0")
            self.in_(edge, "ip", "address", "add", f"{VIP.v4}/32", "dev", "lo")
            self.in_(edge, "ip", "route", "add", "default", "via", f"10.{number}.0.2", "dev", "up0")
            self.state(edge).mkdir()
            write_identity(self.state(edge), NodeIdentity(number, edge, self.vips[0]))
            if self._dual:
                self._up_v6(number, edge, link)
        if self._dual:
            self._second_uplink()
        self.publish()
        for edge in self.names:
            second = ("--outside", "up1") if self._dual and edge == "edge2" else ()
            self.forwarder(edge, "load", "--outside", "up0", *second, "--backbone", "bb0")
            self._daemons.append(
                subprocess.Popen(
                    [*self.enter(edge), *self.command(edge, "run", "--metrics", "127.0.0.1:9465")]
                )
            )
        self.applied()

    def start_daemon(self, edge: str) -> subprocess.Popen[bytes]:
        command = self.command(edge, "run", "--metrics", "127.0.0.1:9465")
        self._daemons.append(subprocess.Popen([*self.enter(edge), *command]))
        return self._daemons[-1]

    def _up_v6(self, number: int, edge: str, link: str) -> None:
        self._address6("phone", link, f"2001:db8:{number}::2/64")
        self._address6(edge, "up0", f"2001:db8:{number}::1/64")
        self._address6(edge, "bb0", f"2001:db8:b::{number}/64")
        gateway = ("via", f"2001:db8:{number}::1", "dev", link, "metric", str(number * 100))
        self.in_("phone", "ip", "-6", "route", "add", "default", *gateway)
        self.in_(edge, "ip", "-6", "route", "add", "default", "via", f"2001:db8:{number}::2", "dev", "up0")
        for address in (DUAL.v6, BY_ADDRESS.v6, f"{BY_ADDRESS.v6}{number}"):
            self._address6(edge, "lo", f"{address}/128")
        for host in (0, number):
            self.in_(edge, "ip", "address", "add", f"198.18.7.{host}/32", "dev", "lo")

    def _second_uplink(self) -> None:
        """One more link of the phone to edge 2."""
        self._link("phone", "lte0", "edge2", "up1")
        self.in_("phone", "ip", "address", "add", "10.3.0.2/24", "dev", "lte0")
        self.in_("edge2", "ip", "address", "add", "10.3.0.1/24", "dev", "up1")
        self.in_("phone", "ip", "route", "add", "default", "via", "10.3.0.1", "dev", "lte0", "metric", "300")
        self._address6("phone", "lte0", "2001:db8:3::2/64")
        self._address6("edge2", "up1", "2001:db8:3::1/64")
        gateway = ("via", "2001:db8:3::1", "dev", "lte0", "metric", "300")
        self.in_("phone", "ip", "-6", "route", "add", "default", *gateway)

    def _address6(self, node: str, interface: str, address: str) -> None:
        self.in_(node, "ip", "address", "add", address, "dev", interface, "nodad")

    def _link(self, first: str, one: str, second: str, other: str) -> None:
        peer = ("type", "veth", "peer", "name", other, "netns", self.name(second))
        self.in_(first, "ip", "link", "add", one, "netns", self.name(first), *peer)
        self.in_(first, "ip", "link", "set", one, "up")
        self.in_(second, "ip", "link", "set", other, "up")

    def command(self, edge: str, action: str, *more: str) -> list[str]:
        folder = self.state(edge)
        chosen = {"--object", "--programs"} & set(more)
        return [
            *(str(SENNIT), "forwarder", action, "--state", str(folder), "--bpffs", str(folder / "bpf")),
            *(self._programs if action == "load" and not chosen else ()),
            *more,
        ]

    def forwarder(self, edge: str, action: str, *more: str) -> str:
        return self.in_(edge, *self.command(edge, action, *more))

    def publish(self, **states: EdgeState) -> None:
        """Give every edge the next generation."""
        self.generation += 1
        edges = tuple(replace(edge, state=states.get(edge.name, edge.state)) for edge in self.edges)
        for edge in self.names:
            table = ForwardingTable(self.generation, self.vips, edges, self.sites)
            write_signed_table(self.state(edge), table)

    def kill_daemons(self) -> None:
        while self._daemons:
            daemon = self._daemons.pop()
            daemon.kill()
            daemon.wait(10)

    def cut_off(self, edge: str) -> None:
        """The host is gone: nothing says goodbye, and no packet leaves or arrives."""
        for interface in ("up0", "bb0"):
            self.in_(edge, "ip", "link", "set", interface, "down")

    def bring_back(self, edge: str) -> None:
        for interface in ("up0", "bb0"):
            self.in_(edge, "ip", "link", "set", interface, "up")
        self.in_(edge, "ip", "route", "replace", "default", "via", f"10.{edge[-1]}.0.2", "dev", "up0")

    def steer(self, source: str, edge: str) -> None:
        """What the phone sends from one of its addresses enters at this edge from now on."""
        number = source.split(".")[1]
        gateway = ("via", f"10.{edge[-1]}.0.1", "dev", LINKS[edge])
        self.in_("phone", "ip", "route", "replace", "default", *gateway, "table", f"20{number}")
        if f"from {source} " not in self.in_("phone", "ip", "rule"):
            self.in_("phone", "ip", "rule", "add", "from", source, "table", f"20{number}")

    def applied(self, timeout: float = 60, but: str = "") -> None:
        def all_have() -> bool:
            files = [self.state(edge) / "forwarder" / "applied.json" for edge in self.names if edge != but]
            return all(
                file.exists() and json.loads(file.read_text())["generation"] == self.generation
                for file in files
            )

        until(all_have, f"generation {self.generation} applied", timeout)

    def count(self, edge: str) -> dict[Reason, int]:
        return {reason: packets for reason, (packets, _) in read_counters(self.state(edge) / "bpf").items()}

    def rest(self) -> dict[str, dict[Reason, int]]:
        """Every edge's counters, once no packet of a connection that has ended is under way any more."""
        found: list[dict[str, dict[Reason, int]]] = []

        def is_still() -> bool:
            found.append({edge: self.count(edge) for edge in self.names})
            last = [[counted[edge][way] for edge in counted for way in WAYS] for counted in found[-STILL:]]
            return len(last) == STILL and all(one == last[-1] for one in last)

        until(is_still, "counters that stand still")
        return found[-1]

    def packets(self, node: str, interface: str) -> tuple[int, int]:
        """(received, sent) on an interface."""
        stats = json.loads(self.in_(node, "ip", "-j", "-s", "link", "show", interface))[0]["stats64"]
        return stats["rx"]["packets"], stats["tx"]["packets"]

    def hardware(self, node: str, interface: str) -> str:
        return str(json.loads(self.in_(node, "ip", "-j", "link", "show", interface))[0]["address"])

    def know_neighbour(self, edge: str, address: str, link: str) -> None:
        entry = (address, "lladdr", self.hardware("phone", link), "dev", "up0", "nud", "permanent")
        self.in_(edge, "ip", "neighbour", "replace", *entry)

    @contextlib.contextmanager
    def inside(self, node: str) -> Iterator[None]:
        """This thread in a node's namespace."""
        with open("/proc/self/ns/net") as home, open(f"/run/netns/{self.name(node)}") as there:
            assert _libc.setns(there.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert _libc.setns(home.fileno(), CLONE_NEWNET) == 0

    def open_socket(
        self, node: str, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET, protocol: int = 0
    ) -> socket.socket:
        """A socket of this process in a node's namespace."""
        with self.inside(node):
            made = socket.socket(family, kind, protocol)
        made.settimeout(60)
        return made

    def dial(self, port: int, interface: str = "wifi0", address: str = "203.0.113.1") -> socket.socket:
        """Connect from the phone by one of its interfaces to a port of the VIP."""
        client = self.open_socket("phone", family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        try:
            client.connect((address, port))
        except OSError:
            client.close()
            raise
        return client

    def down(self) -> None:
        for daemon in self._daemons:
            daemon.terminate()
            daemon.wait(60)  # on a busy machine
        for edge in self.names:
            subprocess.run(["umount", str(self.state(edge) / "bpf")], capture_output=True)
        for node in ("phone", *self.names, "backbone"):
            with contextlib.suppress(AssertionError):
                run("ip", "netns", "del", self.name(node))
