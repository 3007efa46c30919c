"""Both directions of a second path pass its ingress edge, and none of it the owner's own link."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bulk import carry
from compiled_object import available_object, compiled_object
from forwarder_network import ForwarderNetwork

from balancer.model.reference.checksum import checksum
from balancer.model.table import EdgeState
from balancer.model.verdict import Reason
from runtime.bpf.maps import pin

pytestmark = pytest.mark.needs("root", "netns", "bcc")

VIP, LOCATOR_OF_1, UNKNOWN = "203.0.113.1", 10001, 10777
SIZE = 8 << 20
TAG = 0x5E000000
FORMS = ["source", pytest.param("object", marks=pytest.mark.needs("clang"))]  # of the programs
OFFLOADS = ("tso", "gso", "gro", "tx")


@pytest.fixture
def owner(network: ForwarderNetwork) -> Iterator[socket.socket]:
    """The listener of edge 1 on its own locator."""
    with network.open_socket("edge1") as listener:
        listener.bind((VIP, LOCATOR_OF_1))
        listener.listen()
        yield listener


@contextlib.contextmanager
def connected(network: Any, owner: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    with network.dial(LOCATOR_OF_1) as client:
        served, _ = owner.accept()
        with served:
            served.settimeout(60)
            yield client, served


def without_offloads(network: Any) -> None:
    """Every frame on every link as it would be on a wire: at most 1500 bytes, checksums complete."""
    places = [
        ("phone", "cell0"),
        ("phone", "wifi0"),
        ("edge1", "up0"),
        ("edge1", "bb0"),
        ("edge2", "up0"),
        ("edge2", "bb0"),
    ]
    for node, interface in places:
        network.in_(node, "ethtool", "-K", interface, *(word for name in OFFLOADS for word in (name, "off")))


@pytest.mark.parametrize("network", FORMS, indirect=True)
@pytest.mark.parametrize("offloads", [True, False], ids=["offloads", "wire-sized"])
def test_bulk_in_both_directions_keeps_to_the_second_path(
    network: ForwarderNetwork, owner: socket.socket, offloads: bool
) -> None:
    assert '"dev":"up0"' in network.in_("edge1", "ip", "-j", "route", "get", "10.2.0.2").replace(" ", "")
    if not offloads:
        without_offloads(network)
    network.know_neighbour("edge1", "10.1.0.2", "cell0")  # its ARP would be counted
    outside = {edge: network.packets(edge, "up0") for edge in ("edge1", "edge2")}
    before = network.rest()

    with connected(network, owner) as (client, served):
        assert served.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == TAG | 2
        carry(served, client)
        carry(client, served)

    after = network.rest()
    grown = {
        edge: [now - then for now, then in zip(network.packets(edge, "up0"), outside[edge], strict=True)]
        for edge in outside
    }

    def counted(edge: str, reason: Reason) -> int:
        return int(after[edge][reason] - before[edge][reason])

    assert grown["edge1"] == [0, 0], "something passed the owner's own link"
    assert min(grown["edge2"]) >= SIZE // 65536
    assert counted("edge2", Reason.FORWARDED) == counted("edge1", Reason.DELIVERED) > 0
    sent, returned = counted("edge1", Reason.REPLY_FORWARDED), counted("edge2", Reason.REPLY_RETURNED)
    if offloads:
        assert sent == returned > 0
    else:  # the owner's program sees what its device cuts into segments afterwards
        assert returned >= SIZE // 1440
    drops = [reason for reason in Reason if reason.name.startswith("DROP_")]
    assert {reason: count for edge in after for reason in drops if (count := counted(edge, reason))} == {}


@pytest.mark.parametrize("phone_checksums", ["on", "off"])
def test_an_unknown_id_is_refused_with_a_reset_that_is_right_on_the_wire(
    network: ForwarderNetwork, phone_checksums: str
) -> None:
    """Whether the SYN came with its checksum complete or (virtual interfaces) left to a later device."""
    network.in_("phone", "ethtool", "-K", "wifi0", "tx", phone_checksums)
    network.in_("edge2", "ethtool", "-K", "up0", "tx", "off")
    with network.open_socket("phone", socket.SOCK_RAW, socket.AF_PACKET, socket.htons(0x0800)) as capture:
        capture.bind(("wifi0", 0x0800))
        with pytest.raises(ConnectionRefusedError):
            network.dial(UNKNOWN)
        segment = b""
        while not segment or segment[13] & 4 == 0:
            frame = capture.recv(2048)
            segment = frame[34:54] if frame[23] == 6 else b""
    assert struct.unpack_from("!H", segment)[0] == UNKNOWN
    assert checksum(frame[26:34] + struct.pack("!BBH", 0, 6, 20) + segment) == 0
    assert network.count("edge2")[Reason.RESET_UNKNOWN_ID] >= 1


def test_an_owner_that_is_down_refuses_new_subflows_and_keeps_the_old(
    network: ForwarderNetwork, owner: socket.socket
) -> None:
    with connected(network, owner) as (client, served):
        network.publish(edge1=EdgeState.DOWN)
        network.applied()
        with pytest.raises(ConnectionRefusedError):
            network.dial(LOCATOR_OF_1)
        carry(served, client, 1 << 20)
        carry(client, served, 1 << 20)


@pytest.mark.needs("clang")
@pytest.mark.parametrize("network", FORMS, indirect=True)
def test_programs_are_replaced_under_a_running_connection(
    network: ForwarderNetwork, owner: socket.socket
) -> None:
    """By those of the other form, and back again."""
    forms = {"programs: object compiled ahead": ("--object", str(compiled_object()))}
    forms |= {"programs: compiled here from source": ("--programs", "source")}
    with connected(network, owner) as (client, served):
        for text, form in forms.items():
            for edge in ("edge1", "edge2"):
                network.forwarder(edge, "load", "--outside", "up0", "--backbone", "bb0", *form)
                assert text in network.forwarder(edge, "status")
            carry(served, client, 1 << 20)
        network.publish(edge1=EdgeState.DOWN)
        network.applied()
        with pytest.raises(ConnectionRefusedError):
            network.dial(LOCATOR_OF_1)
        carry(client, served, 1 << 20)


def test_an_interface_that_is_not_there_is_named_and_nothing_has_changed(network: ForwarderNetwork) -> None:
    settings = ("net.ipv4.tcp_fwmark_accept", "net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter")
    for name in settings:
        network.in_("phone", "sysctl", "-qw", f"{name}={int(name.endswith('rp_filter'))}")
    before = network.in_("phone", "sysctl", *settings)
    for wrong in (("nope", "wifi0"), ("cell0", "nope")):
        words = ("--outside", "cell0", "--outside", wrong[0], "--backbone", wrong[1], "--node-timeout", "0.3")
        command = [*network.command("edge1", "load"), *words]
        with pytest.raises(AssertionError, match="error: there is no interface nope"):
            network.in_("phone", *command)
    assert network.in_("phone", "sysctl", *settings) == before


def test_an_object_that_cannot_be_loaded_is_not_replaced_by_the_source(
    network: ForwarderNetwork, owner: socket.socket, tmp_path: Path
) -> None:
    (tmp_path / "empty.o").write_bytes(b"")
    load = ("load", "--outside", "up0", "--backbone", "bb0", "--object")
    with pytest.raises(AssertionError, match=r"error: cannot open .*empty\.o"):
        network.forwarder("edge1", *load, str(tmp_path / "empty.o"))
    with pytest.raises(AssertionError, match=r"error: there is no /nowhere\.o: releases have the object"):
        network.forwarder("edge1", *load, "/nowhere.o")
    with connected(network, owner) as (client, served):
        carry(served, client, 1 << 20)


def test_detach_leaves_nothing(network: ForwarderNetwork) -> None:
    for edge in ("edge1", "edge2"):
        network.forwarder(edge, "detach")
        assert list((network.state(edge) / "bpf").glob("sennit*")) == []
        for interface in ("up0", "bb0", "lo"):
            assert "clsact" not in network.in_(edge, "tc", "qdisc", "show", "dev", interface)
        assert "24094" not in network.in_(edge, "ip", "rule")
        assert network.in_(edge, "ip", "route", "show", "table", "all").count("24094") == 0


def test_a_foreign_program_is_never_replaced_or_removed(
    network: ForwarderNetwork, owner: socket.socket
) -> None:
    from balancer.datapath.load.form import load_programs

    theirs = network.state("edge2") / "bpf" / "theirs"
    loaded = load_programs(available_object())
    pin(loaded.programs["owner_egress"], theirs)
    add = ("filter", "add", "dev", "up0", "ingress", "prio", "50000", "bpf", "direct-action")
    network.in_("edge2", "tc", *add, "object-pinned", str(theirs))
    with pytest.raises(AssertionError, match="foreign tc filter"):
        network.forwarder("edge2", "load", "--outside", "up0", "--backbone", "bb0")
    with connected(network, owner) as (client, served):
        carry(served, client, 1 << 20)
    network.forwarder("edge2", "detach")
    left = network.in_("edge2", "tc", "filter", "show", "dev", "up0", "ingress")
    assert "theirs" in left or "owner_egress" in left
    assert "sennit:" not in left


@pytest.mark.parametrize(
    "route", [("replace", "default", "via", "10.1.0.99", "dev", "up0"), ("del", "default")]
)
def test_an_owner_whose_own_way_out_is_dead_still_replies(
    network: ForwarderNetwork, owner: socket.socket, route: tuple[str, ...]
) -> None:
    """Its gateway does not answer, or it has no route at all: the second path does not depend on it."""
    network.in_("edge1", "ip", "route", *route)
    with connected(network, owner) as (client, served):
        carry(served, client, 1 << 20)
        carry(client, served, 1 << 20)


def test_an_icmp_error_reaches_the_owner(network: ForwarderNetwork, owner: socket.socket) -> None:
    """A smaller link behind the ingress edge: the owner learns the path MTU and goes on."""
    with connected(network, owner) as (client, served):
        network.in_("edge2", "ip", "route", "replace", "10.2.0.2/32", "dev", "up0", "mtu", "1300")
        carry(client, served, 1 << 20)
        quoted = (
            struct.pack("!BBHHHBBH", 0x45, 0, 1480, 1, 0x4000, 64, 6, 0)
            + socket.inet_aton(VIP)
            + socket.inet_aton("10.2.0.2")
        )
        quoted += struct.pack("!HHI", LOCATOR_OF_1, client.getsockname()[1], 0)
        message = struct.pack("!BBHHH", 3, 4, 0, 0, 1300) + quoted
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        with network.open_socket("phone", socket.SOCK_RAW, socket.AF_INET, socket.IPPROTO_ICMP) as router:
            router.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wifi0")
            router.sendto(message, (VIP, 0))
        carry(served, client, 1 << 20)
    network.until(lambda: network.count("edge1")[Reason.ICMP_DELIVERED] == 1, "the error at its owner")
    assert network.count("edge2")[Reason.ICMP_FORWARDED] == 1
