"""The daemon finds and repairs what others change on the host; what it cannot repair is a hard failure."""

import json
import socket
from collections.abc import Callable, Iterator

import pytest
from bulk import carry
from forwarder_network import ForwarderNetwork

from balancer.datapath.load.attach import OURS
from balancer.datapath.load.reply_route import PROTOCOL
from node.state.host_state import HostState, read_host_state

pytestmark = pytest.mark.needs("root", "netns", "bcc")

VIP, LOCATOR_OF_1 = "203.0.113.1", 10001
WAIT = 60.0  # seconds: the daemon checks every 3 s


@pytest.fixture
def owner(network: ForwarderNetwork) -> Iterator[socket.socket]:
    """The listener of edge 1 on its own locator."""
    with network.open_socket("edge1") as listener:
        listener.bind((VIP, LOCATOR_OF_1))
        listener.listen()
        yield listener


def host_state(network: ForwarderNetwork) -> HostState:
    found = read_host_state(network.state("edge1"))
    assert found is not None
    return found


def wait_for_check(network: ForwarderNetwork, condition: Callable[[HostState], bool], what: str) -> None:
    """Wait for a check that began after this call."""
    before = read_host_state(network.state("edge1"))
    began = before.at if before else 0.0
    network.until(
        lambda: (
            (found := read_host_state(network.state("edge1"))) is not None
            and found.at > began
            and condition(found)
        ),
        what,
        WAIT,
    )


def deviations(found: HostState) -> dict[str, str]:
    return {item.name: item.deviation for item in found.items if item.deviation}


def assert_paths_are_separate(network: ForwarderNetwork, owner: socket.socket) -> None:
    """A download on the second path leaves edge 1 by the backbone alone."""
    network.know_neighbour("edge1", "10.1.0.2", "cell0")
    before = network.packets("edge1", "up0")
    with network.dial(LOCATOR_OF_1) as client, owner.accept()[0] as served:
        served.settimeout(60)
        carry(served, client, 1 << 20)
    assert network.packets("edge1", "up0") == before


def repairs(network: ForwarderNetwork) -> str:
    return network.in_("edge1", "curl", "-s", "http://127.0.0.1:9465/metrics")


CHANGES: dict[str, tuple[tuple[str, ...], Callable[[ForwarderNetwork], bool]]] = {
    "rule": (
        ("ip", "rule", "del", "priority", "24094"),
        lambda network: "24094" in network.in_("edge1", "ip", "rule"),
    ),
    "route": (
        ("ip", "route", "flush", "table", "24094"),
        lambda network: f"proto {PROTOCOL}" in network.in_("edge1", "ip", "route", "show", "table", "24094"),
    ),
    "fwmark_accept": (
        ("sysctl", "-qw", "net.ipv4.tcp_fwmark_accept=0"),
        lambda network: network.in_("edge1", "sysctl", "-n", "net.ipv4.tcp_fwmark_accept").strip() == "1",
    ),
    "rp_filter": (
        ("sysctl", "-qw", "net.ipv4.conf.bb0.rp_filter=1"),
        lambda network: network.in_("edge1", "sysctl", "-n", "net.ipv4.conf.bb0.rp_filter").strip() == "0",
    ),
    "loopback hook": (
        ("tc", "qdisc", "del", "dev", "lo", "clsact"),
        lambda network: OURS in network.in_("edge1", "tc", "filter", "show", "dev", "lo", "egress"),
    ),
    "backbone hooks": (
        ("tc", "qdisc", "del", "dev", "bb0", "clsact"),
        lambda network: OURS in network.in_("edge1", "tc", "filter", "show", "dev", "bb0", "ingress"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_others_remove_is_repaired_and_paths_stay_separate(
    network: ForwarderNetwork, owner: socket.socket, change: str
) -> None:
    command, is_repaired = CHANGES[change]
    wait_for_check(network, lambda found: not deviations(found), "the first check")
    network.in_("edge1", *command)
    network.until(lambda: is_repaired(network), f"the repair of {change}", WAIT)
    wait_for_check(network, lambda found: not deviations(found), "a check without deviations")
    assert_paths_are_separate(network, owner)
    assert "sennit_forwarder_host_repairs_total{item=" in repairs(network)


def test_a_smaller_backbone_mtu_lowers_the_mss_and_the_route(
    network: ForwarderNetwork, owner: socket.socket
) -> None:
    for node, interface in (("edge1", "bb0"), ("edge2", "bb0")):
        network.in_(node, "ip", "link", "set", interface, "mtu", "1400")
    network.until(
        lambda: "mtu 1380" in network.in_("edge1", "ip", "route", "show", "table", "24094"), "the MTU", WAIT
    )
    wait_for_check(network, lambda found: not deviations(found), "a check without deviations")
    with network.dial(LOCATOR_OF_1) as client, owner.accept()[0] as served:
        served.settimeout(60)
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1400 - 20 - 40
        carry(served, client, 4 << 20)
        carry(client, served, 4 << 20)


def test_an_interface_made_anew_is_attached_again(network: ForwarderNetwork, owner: socket.socket) -> None:
    network.in_("edge1", "ip", "link", "del", "bb0")
    wait_for_check(network, lambda found: "interface bb0" in deviations(found), "the missing interface")
    peer = ("type", "veth", "peer", "name", "bb0", "netns", network.name("edge1"))
    network.in_("backbone", "ip", "link", "add", "edge1", *peer)
    network.in_("backbone", "ip", "link", "set", "edge1", "up", "master", "br0")
    network.in_("edge1", "ip", "link", "set", "bb0", "up")
    network.in_("edge1", "ip", "address", "add", "10.255.0.1/24", "dev", "bb0")
    wait_for_check(network, lambda found: not deviations(found), "a check without deviations")
    assert_paths_are_separate(network, owner)


def test_an_interface_that_goes_down_gets_its_v6_route_and_neighbour_back(dual: ForwarderNetwork) -> None:
    wait_for_check(dual, lambda found: not deviations(found), "the first check")
    dual.in_("edge1", "ip", "link", "set", "bb0", "down")
    wait_for_check(dual, lambda found: deviations(found).get("interface bb0") == "down", "the interface down")
    assert host_state(dual).hard_deviation(host_state(dual).at) is None
    dual.in_("edge1", "ip", "link", "set", "bb0", "up")
    dual.in_("edge1", "ip", "address", "replace", "2001:db8:b::1/64", "dev", "bb0", "nodad")
    wait_for_check(dual, lambda found: not deviations(found), "a check without deviations")
    assert "fe80::5e" in dual.in_("edge1", "ip", "-6", "route", "show", "table", "24094")
    assert "02:00:00:00:00:5e" in dual.in_("edge1", "ip", "-6", "neighbour", "show", "dev", "bb0")


def test_what_cannot_be_repaired_is_a_hard_failure_that_status_names(network: ForwarderNetwork) -> None:
    """Another rule before ours sends marked replies elsewhere: no repair of ours changes that."""
    network.in_(
        "edge1", "ip", "rule", "add", "priority", "100", "fwmark", "0x5e000000/0xff000000", "table", "main"
    )
    wait_for_check(network, lambda found: bool(deviations(found)), "the deviation")
    name = "route of marked IPv4 replies"
    hard = host_state(network).hard_deviation(host_state(network).at)
    assert hard is not None
    assert hard.startswith(f"{name}: leaves by interface")
    assert f"{name}" in (status := network.forwarder("edge1", "status"))
    assert "error: leaves by interface" in status
    assert 'item="rule of marked IPv4 replies"} 1' in repairs(network)
    assert f'item="{name}"}} 0' in repairs(network)
    network.in_("edge1", "ip", "rule", "del", "priority", "100")
    wait_for_check(network, lambda found: not deviations(found), "a check without deviations")


def test_detach_is_not_undone_by_the_daemon(network: ForwarderNetwork) -> None:
    wait_for_check(network, lambda found: not deviations(found), "the first check")
    network.forwarder("edge1", "detach")
    network.publish()
    network.applied(but="edge1")
    assert "24094" not in network.in_("edge1", "ip", "rule")
    assert "clsact" not in network.in_("edge1", "tc", "qdisc", "show", "dev", "lo")
    assert json.loads(network.in_("edge1", "ip", "-j", "route", "show", "table", "all")) is not None
