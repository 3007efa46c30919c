"""Role relay on a booted machine: a client's traffic passes through it to the CDN, and gets nowhere else.

The machine is a container with this machine's own system, between a client and the world, and has WireGuard by
wireguard-go. Role common has its own tests.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from relay_process import ClientPaths, poll_until, remove_namespace, unique_interface
from role_player import RolePlayer, booted_player
from systemd_container import SENNIT

pytestmark = [pytest.mark.needs("root", "netns", "container", "wireguard"), pytest.mark.timeout(600)]

CDN, ELSEWHERE = "203.0.113.1", "198.51.100.9"
REFUSED = ("ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH")
ROLE = {"name": "Relay", "hosts": "all", "gather_subset": ["!all", "network"], "roles": ["relay"]}
VARIABLES = {
    "relay_endpoints": ["10.1.0.1"],
    "relay_prefixes": ["203.0.113.0/24"],
    "relay_uplink": "up0",
    "relay_userspace": True,
}
# answers each connection with the address that it came from
SERVER = """
import socket, threading
def serve(server):
    while True:
        connection, address = server.accept()
        connection.sendall(address[0].encode())
        connection.close()
servers = [socket.create_server(each) for each in (("203.0.113.1", 443), ("203.0.113.1", 80), ("198.51.100.9", 443))]
for server in servers:
    threading.Thread(target=serve, args=(server,)).start()
print("ready", flush=True)
"""
CLIENT = """
import errno, socket, sys
sock = socket.socket()
sock.settimeout(3)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
try:
    sock.connect((sys.argv[2], int(sys.argv[3])))
    print(sock.recv(64).decode())
except OSError as error:
    print(errno.errorcode.get(error.errno, "ETIMEDOUT"))
"""


class RelayMachine:
    """The machine between namespaces `client` (10.1.0.2) and `world` (10.2.0.2)."""

    def __init__(self, player: RolePlayer, folder: Path) -> None:
        self.player, self.machine = player, player.machine
        self.names = {node: f"{folder.name}-{node}" for node in ("client", "world")}
        self.interface = unique_interface("wc")
        self.paths = ClientPaths(self.enter("client"), folder)

    def enter(self, node: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.names[node]}", "--"]

    def in_(self, node: str, *command: str) -> str:
        return subprocess.run(
            [*self.enter(node), *command], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def connect(self) -> None:
        """Lay the links."""
        for net, (node, other) in enumerate((("client", "down0"), ("world", "up0")), 1):
            subprocess.run(["ip", "netns", "add", self.names[node]], check=True)
            self.in_(node, "ip", "link", "set", "lo", "up")
            peer = ("type", "veth", "peer", "name", other, "netns", str(self.machine.leader))
            self.in_(node, "ip", "link", "add", "eth0", *peer)
            self.in_(node, "ip", "address", "add", f"10.{net}.0.2/24", "dev", "eth0")
            self.in_(node, "ip", "link", "set", "eth0", "up")
            self.machine.run("ip", "address", "add", f"10.{net}.0.1/24", "dev", other)
            self.machine.run("ip", "link", "set", other, "up")
        self.in_("client", "ip", "route", "add", "default", "via", "10.1.0.1")
        self.machine.run("ip", "route", "add", "default", "via", "10.2.0.2")
        self.machine.run("chmod", "0666", "/dev/net/tun")  # as udev does on a machine
        for address in (CDN, ELSEWHERE):
            self.in_("world", "ip", "address", "add", f"{address}/32", "dev", "lo")

    def reach(self, address: str, port: int) -> str:
        """What a client is answered through the relay: the address that the world sees, or the error."""
        command = (sys.executable, "-c", CLIENT, self.interface, address, str(port))
        return self.in_("client", *command).strip()

    def remove(self) -> None:
        for name in self.names.values():
            remove_namespace(name)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayMachine]:
    folder = tmp_path_factory.mktemp("relay-role")
    with booted_player(folder, "sennit-relay-role", VARIABLES) as player:
        made = RelayMachine(player, folder)
        try:
            made.connect()
            yield made
        finally:
            made.remove()


@pytest.fixture(scope="module")
def world(relay: RelayMachine) -> Iterator[None]:
    command = [*relay.enter("world"), sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
        server.kill()


def test_it_installs_and_starts_the_relay_and_a_second_run_changes_nothing(relay: RelayMachine) -> None:
    assert relay.player.play(ROLE)["changed"] > 0
    assert relay.machine.systemctl("is-active", "sennit-relay") == "active"
    assert relay.machine.systemctl("is-enabled", "sennit-relay") == "enabled"
    assert relay.player.play(ROLE)["changed"] == 0


def test_traffic_passes_through_it_to_the_cdn_and_nowhere_else(relay: RelayMachine, world: None) -> None:
    given = relay.machine.run(SENNIT, "relay", "add", "laptop").stdout
    done = relay.paths.run("add", relay.interface, given=given)
    assert done.returncode == 0, done.stderr
    poll_until(lambda: relay.reach(CDN, 443) == "10.2.0.1", relay.machine.journal)
    assert relay.reach(CDN, 80) in REFUSED
    assert relay.reach(ELSEWHERE, 443) == "ETIMEDOUT"  # the client's WireGuard drops it
    assert relay.machine.run(SENNIT, "relay", "list").stdout.count("laptop") == 1
