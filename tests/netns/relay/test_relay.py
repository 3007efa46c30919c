"""The relay lets its peers reach the CDN's addresses and ports, and nothing else; its rules count what they drop."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relay_process import poll_until, snapshot_host, unique_interface

pytestmark = pytest.mark.needs("root", "netns", "wireguard")

V4, V6 = "203.0.113.1", "2001:db8:5e::1"
RESOLVER, ELSEWHERE, ELSEWHERE_V6 = "198.51.100.53", "198.51.100.9", "2001:db8:99::9"
ECHO = Path(__file__).with_name("echo.py")


@contextlib.contextmanager
def run_relay(place: Any) -> Iterator[Any]:
    """The relay runs, two peers have their interfaces in the client's namespace, and the world echoes."""
    place.relay.start()
    place.first, place.second = unique_interface("wa"), unique_interface("wb")
    for name in (place.first, place.second):
        place.paths.add(name, place.relay.add(name))
    with subprocess.Popen(
        [*place.enter("world"), sys.executable, str(ECHO)], stdout=subprocess.PIPE, text=True
    ) as world:
        try:
            assert world.stdout is not None
            assert world.stdout.readline() == "ready\n"
            yield place
        finally:
            world.kill()


@pytest.fixture
def running(place: Any) -> Iterator[Any]:
    with run_relay(place):
        yield place


@pytest.fixture(scope="module")
def shared(shared_place: Any) -> Iterator[Any]:
    """The same for tests that change only what a client sends into its tunnel."""
    with run_relay(shared_place):
        yield shared_place


def reach(place: Any, address: str, port: int, *, kind: str = "tcp", by: str = "") -> str:
    """Return the source that the world saw, or the error."""
    command = [sys.executable, str(ECHO), by or place.first, address, str(port), kind]
    done = subprocess.run([*place.enter("client"), *command], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout))


def widen_client(place: Any, *prefixes: str) -> None:
    """What a hostile client does: more than its configuration says goes into the tunnel."""
    name, relay_key = place.first, place.in_("client", "wg", "show", place.first, "peers").strip()
    place.in_("client", "wg", "set", name, "peer", relay_key, "allowed-ips", "0.0.0.0/0,::/0")
    for prefix in prefixes:
        version = "-6" if ":" in prefix else "-4"
        place.in_("client", "ip", version, "route", "add", prefix, "dev", name, "metric", "1")


def test_a_peer_reaches_the_cdn_in_both_families_from_the_relays_address(shared: Any) -> None:
    assert reach(shared, V4, 443) == "10.2.0.1"
    assert reach(shared, V6, 443) == "2001:db8:2::1"
    assert reach(shared, V4, 10001) == "10.2.0.1"
    assert reach(shared, RESOLVER, 53, kind="udp") == "10.2.0.1"
    assert reach(shared, RESOLVER, 53) == "10.2.0.1"
    rows = shared.relay.peers()
    assert [row["name"] for row in rows] == sorted((shared.first, shared.second))
    assert all(row["last_handshake"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("address", "port", "kind"),
    [
        (ELSEWHERE, 443, "tcp"),
        (ELSEWHERE_V6, 443, "tcp"),
        (V4, 80, "tcp"),
        (V4, 443, "udp"),
        (RESOLVER, 443, "tcp"),
        ("10.2.0.2", 443, "tcp"),
    ],
)
def test_what_is_not_the_cdns_is_refused(shared: Any, address: str, port: int, kind: str) -> None:
    if address not in (V4, RESOLVER):
        widen_client(shared, f"{address}/{128 if ':' in address else 32}")
    before = shared.relay.drops()["elsewhere"]
    assert reach(shared, address, port, kind=kind) in ("EHOSTUNREACH", "EACCES", "ECONNREFUSED")
    assert shared.relay.drops()["elsewhere"] > before


def test_the_relay_itself_is_not_reached(shared: Any) -> None:
    """Neither in the tunnels' network nor at the address of its uplink."""
    widen_client(shared, "10.71.0.1/32", "10.2.0.1/32")
    for address in ("10.71.0.1", "10.2.0.1"):
        before = shared.relay.drops()["a peer's packet for this host"]
        assert reach(shared, address, 22) == "timeout"
        assert shared.relay.drops()["a peer's packet for this host"] > before


def test_other_peers_are_not_reached(shared: Any) -> None:
    widen_client(shared, "10.71.0.64/26")
    before = shared.relay.drops()["between peers"]
    assert reach(shared, "10.71.0.77", 443) == "timeout"
    assert shared.relay.drops()["between peers"] > before


def test_a_peer_cannot_send_in_anothers_name(running: Any) -> None:
    """Cryptokey routing: the packet is dropped before any rule sees it."""
    before = running.relay.drops()
    running.in_("client", "ip", "address", "add", "10.71.0.99/32", "dev", running.first)
    done = subprocess.run(
        [*running.enter("client"), sys.executable, str(ECHO), running.first, V4, "443", "tcp", "10.71.0.99"],
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == "timeout"
    assert running.relay.drops() == before


def test_nothing_else_is_forwarded_and_nothing_comes_in_unasked(running: Any) -> None:
    running.in_("client", "ip", "route", "add", f"{ELSEWHERE}/32", "via", "10.1.0.1", "dev", "eth0")
    assert reach(running, ELSEWHERE, 443, by="eth0") == "timeout"
    assert running.relay.drops()["not of a peer"] >= 1
    running.in_("world", "ip", "route", "add", "10.71.0.0/16", "via", "10.2.0.1", "dev", "eth0")
    done = subprocess.run(
        [*running.enter("world"), sys.executable, str(ECHO), "eth0", "10.71.0.2", "443", "tcp"],
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == "timeout"
    assert running.relay.drops()["unasked"] >= 1


def test_connections_of_a_peer_are_bounded(place: Any) -> None:
    place.relay.options += ("--peer-connections", "3")
    place.relay.start()
    name = unique_interface("wa")
    place.paths.add(name, place.relay.add("laptop"))
    code = (
        "import socket\nfor address in ('203.0.113.1', '203.0.113.1'):\n"
        "    server = socket.create_server((address, 443), reuse_port=True); server.listen(16)\n    break\n"
        "print('ready', flush=True); import time; time.sleep(60)"
    )
    with subprocess.Popen(
        [*place.enter("world"), sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as world:
        try:
            assert world.stdout is not None
            assert world.stdout.readline() == "ready\n"
            dial = (
                "import socket\nkept = []\nfor _ in range(5):\n    s = socket.socket(); s.settimeout(1)\n"
                f"    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'{name}')\n    try:\n"
                f"        s.connect(('{V4}', 443)); kept.append(s)\n    except TimeoutError:\n        pass\n"
                "print(len(kept))"
            )
            done = place.in_("client", sys.executable, "-c", dial)
            assert done.strip() == "3"
        finally:
            world.kill()


def test_a_removed_peer_is_cut_off_and_others_stay(running: Any) -> None:
    assert reach(running, V4, 443) == "10.2.0.1"
    running.relay.command("remove", running.first)
    poll_until(lambda: len(running.relay.shown().split()) == 1, running.relay.shown)
    assert reach(running, V4, 443) == "timeout"
    assert reach(running, V4, 443, by=running.second) == "10.2.0.1"


def test_the_state_has_public_keys_only_and_no_peer_twice(running: Any) -> None:
    folder = running.relay.folder
    private_key = json.loads(next(iter((running.paths.store).glob("*.json"))).read_text())["configuration"][
        "private_key"
    ]
    for file in folder.iterdir():
        assert private_key not in file.read_text()
        assert file.name == "log" or file.stat().st_mode & 0o777 == 0o600
    text = (folder / "peers.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"
    command = [*running.enter("relay"), str(Path(sys.executable).with_name("sennit")), "relay", "add"]
    done = subprocess.run([*command, running.first, "--state", str(folder)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "hint:" in done.stderr


def test_a_killed_relay_keeps_its_rules_and_is_taken_over(running: Any) -> None:
    running.relay.stop(kill=True)
    assert reach(running, V4, 443) == "10.2.0.1", "wireguard-go is a process of its own"
    widen_client(running, f"{ELSEWHERE}/32")
    assert reach(running, ELSEWHERE, 443) in ("EHOSTUNREACH", "EACCES")
    running.relay.start()
    assert reach(running, V4, 443) == "10.2.0.1"


def test_an_interface_that_is_gone_is_made_again(running: Any) -> None:
    running.in_("relay", "ip", "link", "del", running.relay.interface)
    poll_until(lambda: len(running.relay.shown().split()) == 2, running.relay.shown)
    # a client notices after 15 seconds without an answer (WireGuard's Keepalive-Timeout and Rekey-Timeout)
    poll_until(lambda: reach(running, V4, 443) == "10.2.0.1", running.relay.shown)


def test_a_relay_that_stops_leaves_nothing(place: Any) -> None:
    before = snapshot_host(place.enter("relay"))
    place.relay.start()
    assert snapshot_host(place.enter("relay"))["nft"] != before["nft"]
    place.relay.stop()
    assert snapshot_host(place.enter("relay")) == before


def test_a_host_that_forwards_nothing_is_refused_with_a_cure(place: Any) -> None:
    place.in_("relay", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
    before = snapshot_host(place.enter("relay"))
    with pytest.raises(
        AssertionError, match=r"does not forward IPv6[^$]*sysctl -w net.ipv6.conf.all.forwarding"
    ):
        place.relay.start()
    assert snapshot_host(place.enter("relay")) == before
