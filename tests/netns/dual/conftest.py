"""A phone whose two links have IPv4 and IPv6, resolvers at their far ends, and an edge behind both."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from certificates import identity

PEER = Path(__file__).with_name("peer.py")
ROOT = Path(__file__).parents[3]
RESPONDER = ROOT / "tests" / "support" / "dns_responder.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}"}
V4, V6, LOCATOR = "203.0.113.1", "2001:db8:5e::", "2001:db8:5e::107"
MIXED = ("2001:db8:60::", "2001:db8:60::107")
_numbers = itertools.count()


class Place:
    """`up` makes the two hosts; `edge` and `resolver` run on the server, `ask` on the phone."""

    def __init__(self) -> None:
        suffix = f"{os.getpid()}-{next(_numbers)}"
        self.phone, self.server = f"ds-phone-{suffix}", f"ds-server-{suffix}"
        self._processes: list[subprocess.Popen[str]] = []
        self._edge: subprocess.Popen[str] | None = None
        self._unbound: subprocess.Popen[str] | None = None

    def up(self) -> None:
        for name in (self.phone, self.server):
            self.run("ip", "netns", "add", name)
            self.run("ip", "-n", name, "link", "set", "lo", "up")
        for net, link in ((1, "cell0"), (2, "wifi0")):
            peer = f"type veth peer {link} netns {self.server}".split()
            self.run("ip", "-n", self.phone, "link", "add", link, *peer)
            for name, host in ((self.phone, 2), (self.server, 1)):
                self.run("ip", "-n", name, "address", "add", f"10.{net}.0.{host}/24", "dev", link)
                v6 = f"2001:db8:{net}::{host}/64"
                self.run("ip", "-n", name, "address", "add", v6, "dev", link, "nodad")
                self.run("ip", "-n", name, "link", "set", link, "up")
            for gateway in (f"10.{net}.0.1", f"2001:db8:{net}::1"):
                route = f"route add default via {gateway} dev {link} metric {net}00".split()
                self.run("ip", "-n", self.phone, *(["-6"] if ":" in gateway else []), *route)
        self.run("ip", "-n", self.server, "address", "add", f"{V4}/32", "dev", "lo")
        for address in (V6, LOCATOR, *MIXED):
            self.run("ip", "-n", self.server, "address", "add", f"{address}/128", "dev", "lo", "nodad")
        for net in (1, 2):
            self._wait_for_ipv6(f"2001:db8:{net}::1")

    def _wait_for_ipv6(self, gateway: str) -> None:
        """A new cable carries IPv6 a moment later than IPv4: the kernel looks at carriers once a second."""
        ping = ["ip", "netns", "exec", self.phone, "ping", "-6", "-c", "1", "-W", "1", gateway]
        for _ in range(30):
            if subprocess.run(ping, capture_output=True).returncode == 0:
                return
        raise AssertionError(f"{gateway} does not answer")

    def down(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        for name in (self.phone, self.server):
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run("ip", "netns", "del", name)

    def run(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def edge(self) -> None:
        self._edge = self._start(str(PEER), "edge")

    def resolver(self, net: int, *words: str) -> None:
        """At the far end of link 1 or 2; `words` as dns_responder.py takes them."""
        self._start(str(RESPONDER), f"10.{net}.0.1", *words)

    def _start(self, *command: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.server, sys.executable, *command],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
        )
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def unbound(self, folder: Path, *data: str) -> None:
        """A real resolver at the far ends: by TLS on link 1, by HTTPS on link 2; `data` are its records."""
        if not (folder / "dns.pem").exists():
            identity(folder, "dns", "dns.example")
        lines = [
            *("server:", "username: ''", "chroot: ''", "pidfile: ''", "use-syslog: no", "do-daemonize: no"),
            *("interface: 10.1.0.1@853", "interface: 10.2.0.1@443", "https-port: 443"),
            *("access-control: 10.0.0.0/8 allow", "local-zone: example. static"),
            *(f"tls-service-key: {folder / 'dns.key'}", f"tls-service-pem: {folder / 'dns.pem'}"),
            *(f"local-data: '{one}'" for one in data),
            *("remote-control:", "control-enable: no"),
        ]
        (folder / "unbound.conf").write_text("\n".join(lines) + "\n")
        log = (folder / "unbound.log").open("w")
        command = ["ip", "netns", "exec", self.server, "unbound", "-d", "-c", str(folder / "unbound.conf")]
        self._unbound = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        self._processes.append(self._unbound)
        for address, port in (("10.1.0.1", 853), ("10.2.0.1", 443)):
            self._wait_for_listener(address, port)

    def stop_unbound(self) -> None:
        assert self._unbound is not None
        self._unbound.kill()
        self._unbound.wait()

    def _wait_for_listener(self, address: str, port: int) -> None:
        deadline = time.monotonic() + 20
        while f"{address}:{port} " not in self.run("ip", "netns", "exec", self.server, "ss", "-Htln"):
            assert time.monotonic() < deadline, f"nothing listens at {address} port {port}"
            time.sleep(0.05)

    def count(self, link: str, what: str) -> None:
        """Count packets that leave the phone by `link` and fit nftables' expression `what`; see `counted`."""
        rule = "add table inet c; add chain inet c o { type filter hook output priority 0; }; "
        rule += f'add rule inet c o oifname {link} {what} counter comment "{link} {what}"'
        self.run("ip", "netns", "exec", self.phone, "nft", rule)

    def counted(self) -> dict[str, int]:
        """Packets by link and expression."""
        listed = json.loads(self.run("ip", "netns", "exec", self.phone, "nft", "-j", "list table inet c"))
        rules = [one["rule"] for one in listed["nftables"] if "rule" in one]
        counters = {
            rule["comment"]: [part["counter"]["packets"] for part in rule["expr"] if "counter" in part]
            for rule in rules
        }
        return {name: packets for name, (packets,) in counters.items()}

    def drop(self, node: str, link: str, what: str) -> None:
        """Packets that come in by `link` are dropped where nftables' expression `what` fits."""
        rule = "add table inet t; add chain inet t i { type filter hook input priority 0; }; "
        rule += f"add rule inet t i iifname {link} {what} drop"
        self.run("ip", "netns", "exec", node, "nft", rule)

    def ask(
        self, host: str = "cdn.example", environment: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        given = {
            "host": host,
            "paths": ["cell0", "wifi0"],
            "resolvers": {"cell0": "10.1.0.1", "wifi0": "10.2.0.1"},
            "timeout": 10,
            **options,
        }
        said = self.run_on_phone(
            sys.executable, str(PEER), "ask", json.dumps(given), environment=environment or {}
        )
        return json.loads(said)

    def run_on_phone(self, *command: str, environment: Mapping[str, str]) -> str:
        """Return what a program prints."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.phone, *command],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**ENVIRONMENT, **environment},
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def start_on_phone(
        self, *command: str, environment: Mapping[str, str]
    ) -> "Iterator[subprocess.Popen[str]]":
        """A program with pipes for its input and output, for as long as the context."""
        with subprocess.Popen(
            ["ip", "netns", "exec", self.phone, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**ENVIRONMENT, **environment},
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def accepted(self) -> list[str]:
        """Where the edge accepted subflows; ends it."""
        assert self._edge is not None
        self._edge.terminate()
        said, _ = self._edge.communicate(timeout=60)
        return [line.removeprefix("accepted ") for line in said.splitlines()]


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    try:
        made.up()
        made.edge()
        yield made
    finally:
        made.down()
