"""A client, an ingress edge and an owner in namespaces, joined by the forwarder and by its peers: plain routes, a
kernel tunnel, haproxy.

All ways have the same hops and the same kind of cables. Needs root and bcc.
"""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.model.signature import sign
from balancer.model.table import ForwardingTable, TableEdge
from balancer.model.table_file import store_table
from node.state.identity import NodeIdentity, write_identity
from node.state.table_key import pin_table_key
from node.vip import Vip

NODES = ("client", "ingress", "owner")
VIP, ROUTED, TUNNELLED, PROXIED = "203.0.113.1", "198.18.1.1", "198.18.2.1", "198.18.3.1"
LOCATOR = 10001
OWNER, INGRESS = 1, 2
BUDGETS = ("--budget-owner-packets", "20000")  # as the default of SYNs: a flood here is 50,000 a second
TUNNELS = {"ipip": ("1440",), "vxlan": ("1410", "id", "7", "dstport", "4789")}  # kind: MSS, further words
HAPROXY = """
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen forward
  bind {bind}:443
  server owner {server}:8443
"""
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class ForwardingNetwork:
    """Namespaces that exist inside the `with` block of `network`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tunnel = ""  # what kernel tunnel there is to compare with
        self._proxy: subprocess.Popen[bytes] | None = None

    def name(self, node: str) -> str:
        return f"fb-{node}-{os.getpid()}"

    def enter(self, node: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name(node)}", "--"]

    def ip(self, node: str, *words: str) -> str:
        return _run("ip", "-n", self.name(node), *words)

    def socket_in(
        self, node: str, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET
    ) -> socket.socket:
        """A socket of this process in a node's namespace."""
        with open("/proc/self/ns/net") as home, open(f"/run/netns/{self.name(node)}") as there:
            if _libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                made = socket.socket(family, kind)
            finally:
                _libc.setns(home.fileno(), CLONE_NEWNET)
        made.settimeout(20)
        return made

    def hardware(self, node: str, interface: str) -> str:
        return str(json.loads(self.ip(node, "-j", "link", "show", interface))[0]["address"])

    def up(self) -> None:
        for node in NODES:
            _run("ip", "netns", "add", self.name(node))
            self.ip(node, "link", "set", "lo", "up")
        self._cable("client", "fw0", "10.1.0.2", "ingress", "up0", "10.1.0.1")
        self._cable("ingress", "bb0", "10.255.0.2", "owner", "bb0", "10.255.0.1")
        self._cable("client", "un0", "10.3.0.2", "owner", "up0", "10.3.0.1")
        self._cable("client", "rt0", "10.2.0.2", "ingress", "up1", "10.2.0.1")
        self._cable("ingress", "rt0", "10.254.0.2", "owner", "rt0", "10.254.0.1")
        for node in ("ingress", "owner"):
            self.ip(node, "address", "add", f"{VIP}/32", "dev", "lo")
        self.ip("client", "route", "add", f"{VIP}/32", "via", "10.1.0.1")
        self.ip("owner", "route", "add", "default", "via", "10.3.0.2")
        self._routed()
        self._tunnelled()
        self._proxied()
        self._forwarders()

    def down(self) -> None:
        if self._proxy:
            self._proxy.kill()
            self._proxy.wait()
        for node in ("ingress", "owner"):
            subprocess.run(["umount", str(self.folder / node / "bpf")], capture_output=True)
        for node in NODES:
            subprocess.run(["ip", "netns", "del", self.name(node)], capture_output=True)

    def _cable(self, one: str, device: str, address: str, other: str, end: str, far: str) -> None:
        peer = ("peer", "name", end, "netns", self.name(other))
        self.ip(one, "link", "add", device, "type", "veth", *peer)
        for node, interface, own in ((one, device, address), (other, end, far)):
            self.ip(node, "address", "add", f"{own}/24", "dev", interface)
            self.ip(node, "link", "set", interface, "up")

    def _routed(self) -> None:
        """The peer: the same hops by routes, with nothing put around a packet."""
        self.ip("owner", "address", "add", f"{ROUTED}/32", "dev", "lo")
        self.ip("client", "route", "add", f"{ROUTED}/32", "via", "10.2.0.1")
        self.ip("ingress", "route", "add", f"{ROUTED}/32", "via", "10.254.0.1")
        self.ip("owner", "route", "add", "10.2.0.0/24", "via", "10.254.0.2")

    def _tunnelled(self) -> None:
        """The other peer: policy routing into a tunnel of the kernel's, IP in IP or, where there is none, VXLAN."""
        self.tunnel = next((kind for kind in TUNNELS if self._tunnel(kind)), "")
        if not self.tunnel:
            return
        mss = ("advmss", TUNNELS[self.tunnel][0])
        self.ip("owner", "address", "add", f"{TUNNELLED}/32", "dev", "lo")
        self.ip("client", "route", "add", f"{TUNNELLED}/32", "via", "10.2.0.1", *mss)
        self.ip("ingress", "route", "add", f"{TUNNELLED}/32", "via", "10.253.0.1", "dev", "tun0", "onlink")
        self.ip("owner", "rule", "add", "from", TUNNELLED, "table", "100")
        back = ("default", "via", "10.253.0.2", "dev", "tun0", "onlink")
        self.ip("owner", "route", "add", *back, "table", "100", *mss)

    def _tunnel(self, kind: str) -> bool:
        for node, own, far in (("ingress", 2, 1), ("owner", 1, 2)):
            ends = ("local", f"10.254.0.{own}", "remote", f"10.254.0.{far}")
            try:
                self.ip(node, "link", "add", "tun0", "type", kind, *TUNNELS[kind][1:], *ends)
            except subprocess.CalledProcessError:
                return False
            self.ip(node, "address", "add", f"10.253.0.{own}/24", "dev", "tun0")
            self.ip(node, "link", "set", "tun0", "up")
        return True

    def _proxied(self) -> None:
        """The third: haproxy at the ingress edge, which ends the client's TCP there and has its own to the owner."""
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        if not os.access(program, os.X_OK):
            raise RuntimeError("haproxy is missing: sh tools/install-packages packages.bench.debian")
        self.ip("ingress", "address", "add", f"{PROXIED}/32", "dev", "lo")
        self.ip("client", "route", "add", f"{PROXIED}/32", "via", "10.2.0.1")
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(bind=PROXIED, server=ROUTED))
        command = [*self.enter("ingress"), program, "-db", "-q", "-f", str(configuration)]
        self._proxy = subprocess.Popen(command)

    def _forwarders(self) -> None:
        edges = tuple(
            TableEdge(number, name, f"10.255.0.{number}", None)
            for number, name in ((OWNER, "owner"), (INGRESS, "ingress"))
        )
        vip = Vip("main", VIP, None)
        sennit = str(Path(sys.executable).with_name("sennit"))
        signer, table = Ed25519PrivateKey.generate(), ForwardingTable(1, (vip,), edges).to_json()
        for edge in edges:
            state = self.folder / edge.name
            state.mkdir()
            write_identity(state, NodeIdentity(edge.id, edge.name, vip))
            pin_table_key(state, signer.public_key().public_bytes_raw())
            store_table(state, table, sign(signer, table))
            where = ("--state", str(state), "--bpffs", str(state / "bpf"))
            load = (*where, "--outside", "up0", "--backbone", "bb0", *BUDGETS)
            _run(*self.enter(edge.name), sennit, "forwarder", "load", *load)
        _run(*self.enter("ingress"), "sysctl", "-qw", "net.ipv4.ip_forward=1")


@contextlib.contextmanager
def forwarding_network() -> Iterator[ForwardingNetwork]:
    folder = Path(tempfile.mkdtemp(prefix="sennit-forwarding-"))
    made = ForwardingNetwork(folder)
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
