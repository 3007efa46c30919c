"""A handset with one interface, its ISP, a relay elsewhere, and two edges: ISP and relay reach different edges.

handset --- isp --- core --- edge1     the ISP's packets to the VIP arrive at edge 1, the owner
                     |  |
                 relay  +--- edge2     the relay's arrive at edge 2, whose forwarder tunnels them to edge 1
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sized_pages
from forwarder_network import ForwarderNetwork
from relay_process import (
    ROOT,
    SENNIT,
    ClientPaths,
    RelayProcess,
    poll_until,
    remove_namespace,
    unique_interface,
)

from lab.attack.interception import MARK, PORT, TABLE
from node.state.catalogue import NODE

VIP, RELAY = "203.0.113.1", "198.51.100.2"
PAGES = Path(sized_pages.__file__)
OWN_NODES = ("handset", "isp", "relay")


class OneInterface(ForwarderNetwork):
    """`start` runs the owner edge, the relay, and the handset's path through it; node `phone` is the core router."""

    def start(self) -> None:
        self.up()
        for node in OWN_NODES:
            subprocess.run(["ip", "netns", "add", self.name(node)], check=True)
            self.in_(node, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            self.in_(node, "ip", "link", "set", "lo", "up")
        for node in ("isp", "phone", "relay"):
            self.in_(node, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        self._cable("handset", "eth0", "192.0.2.2", "isp", "hand0", "192.0.2.1")
        self._cable("isp", "up0", "10.20.0.2", "phone", "isp0", "10.20.0.1")
        self._cable("relay", "up0", RELAY, "phone", "relay0", "198.51.100.1")
        for node, gateway in (("handset", "192.0.2.1"), ("isp", "10.20.0.1"), ("relay", "198.51.100.1")):
            self.in_(node, "ip", "route", "add", "default", "via", gateway)
        self.in_("phone", "ip", "route", "add", "192.0.2.0/24", "via", "10.20.0.2", "dev", "isp0")
        self.in_("phone", "ip", "route", "add", "default", "via", "10.2.0.1", "dev", "wifi0", "table", "100")
        self.in_("phone", "ip", "rule", "add", "iif", "relay0", "to", VIP, "lookup", "100")
        options = ("--endpoint", RELAY, "--prefix", f"{VIP}/32", "--network", "10.71.0.0/16")
        self.relay = RelayProcess(self.enter("relay"), self.folder / "relay", *options)
        self.relay.start()
        self.paths = ClientPaths(self.enter("handset"), self.folder)
        self.path = unique_interface("wh")
        self.paths.add(self.path, self.relay.add("handset"))
        self._start_edge()

    def _cable(self, first: str, one: str, address: str, second: str, other: str, far: str) -> None:
        self._link(first, one, second, other)
        self.in_(first, "ip", "address", "add", f"{address}/24", "dev", one)
        self.in_(second, "ip", "address", "add", f"{far}/24", "dev", other)

    def _start_edge(self) -> None:
        state, log = self.folder / "owner", self.folder / "edge.log"
        NODE.write_object(state, NODE.read_object(self.state("edge1")))
        serve = [*self.enter("edge1"), SENNIT, "edge", "--state", str(state)]
        with log.open("wb") as output:
            self.edge = subprocess.Popen(
                [*serve, "--app", f"{PAGES.stem}:app"], cwd=PAGES.parent, stdout=output, stderr=output
            )
        poll_until(lambda: "ready: edge" in log.read_text(), log.read_text)

    def get(self, size: int, *options: str) -> "subprocess.Popen[str]":
        """Start `sennit get` of a page of `size` bytes on the handset, without any word of paths."""
        command = [*self.enter("handset"), SENNIT, "get", f"smkex://{VIP}/{size}", "--json", *options]
        return subprocess.Popen(
            [*command, "-o", str(self.folder / "page")],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self.paths.environment,
        )

    def addresses_of(self, interface: str) -> list[str]:
        """Return a line of `ip` for each IPv4 address of an interface of the handset."""
        command = [*self.enter("handset"), "ip", "-o", "-4", "address", "show", "dev", interface]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    def finish(self, client: "subprocess.Popen[str]") -> tuple[int, dict[str, Any]]:
        """Return the client's exit status, and its last JSON object."""
        _, said = client.communicate(timeout=120)
        objects = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return client.returncode, {"said": said, **(objects[-1] if objects else {})}

    @contextlib.contextmanager
    def attacker_at_the_isp(self, strategy: str) -> Iterator[Path]:
        """The ISP's router ends the handset's connections to the VIP (TPROXY); yields what the attacker says."""
        log = self.folder / "attacker.log"
        chain = "type filter hook prerouting priority mangle; meta l4proto tcp socket transparent 1"
        chain += f' meta mark set {MARK} accept; iifname "hand0" ip daddr {VIP} meta l4proto tcp'
        chain += f" tproxy to :{PORT} meta mark set {MARK} accept;"
        self.in_("isp", "ip", "route", "replace", "local", "default", "dev", "lo", "table", str(TABLE))
        self.in_("isp", "ip", "rule", "add", "fwmark", str(MARK), "lookup", str(TABLE))
        self.in_("isp", "nft", f"table ip attack {{ chain prerouting {{ {chain} }} ; }}")
        command = [*self.enter("isp"), sys.executable, "-m", "lab.attack.attacker", strategy, "--path", "0"]
        with (
            log.open("w") as output,
            subprocess.Popen(
                command, stderr=output, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
            ) as attacker,
        ):
            try:
                poll_until(lambda: "ready" in log.read_text(), log.read_text)
                yield log
            finally:
                attacker.kill()

    def stop(self) -> None:
        for process in (getattr(self, "edge", None), getattr(getattr(self, "relay", None), "process", None)):
            if process is not None:
                process.terminate()
                process.wait(20)
        for node in OWN_NODES:
            remove_namespace(self.name(node))
        self.down()
