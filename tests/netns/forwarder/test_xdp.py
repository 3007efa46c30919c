"""The fast path in XDP on real interfaces: it carries a transfer, tc does what it cannot, and it comes and goes."""

import collections
import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from bulk import carry
from compiled_object import available_object

from balancer.datapath.load.xdp_features import SENDS, features_of
from balancer.datapath.maps.counters import read_counters, read_xdp_counters
from balancer.model.verdict import Reason
from runtime.bpf.links import link_xdp

pytestmark = pytest.mark.needs("root", "netns", "bcc")

LOCATORS = {4: ("203.0.113.1", 10001), 6: ("2001:db8:5e::1", 10001)}
SIZE = 2 << 20
ETH_P_IP, SO_RCVBUFFORCE = 0x0800, 33
PORTS = struct.pack("!HH", 40000, 10001)  # of numbered segments
LOAD = ("load", "--outside", "up0", "--outside", "up1", "--backbone", "bb0")


@pytest.fixture(scope="module")
def wired(dual: Any) -> Any:
    """Veths as XDP wants them: complete checksums from the phone, and a bridge port that takes redirected frames."""
    for link in ("wifi0", "lte0"):
        dual.in_("phone", "ethtool", "-K", link, "tx", "off")
    dual.in_("backbone", "ethtool", "-K", "edge2", "gro", "on")
    return dual


@pytest.fixture(scope="module")
def native(wired: Any) -> Any:
    wired.forwarder("edge2", *LOAD, "--xdp", "native")
    return wired


@contextlib.contextmanager
def connected(network: Any, version: int = 4) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and its connection at edge 1, by way of edge 2."""
    address, port = LOCATORS[version]
    with network.open_socket("edge1", family=socket.AF_INET if version == 4 else socket.AF_INET6) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        with network.dial(port, address=address) as client, listener.accept()[0] as served:
            served.settimeout(60)
            yield client, served


def by_hook(network: Any, reason: Reason) -> tuple[int, int]:
    """(by tc, by XDP) at edge 2."""
    bpffs = network.state("edge2") / "bpf"
    xdp = read_xdp_counters(bpffs)[reason][0]
    return read_counters(bpffs)[reason][0] - xdp, xdp


def drops(network: Any) -> dict[Reason, int]:
    return {
        reason: n for reason, n in network.count("edge2").items() if reason.name.startswith("DROP_") and n
    }


def xdp_of(network: Any, interface: str) -> dict[str, Any]:
    """What `ip link` says of an interface of edge 2."""
    found = json.loads(network.in_("edge2", "ip", "-j", "link", "show", interface))[0]
    return dict(found.get("xdp", {}))


@pytest.mark.parametrize("version", [4, 6])
def test_a_transfer_is_forwarded_by_xdp_and_its_syn_by_tc(native: Any, version: int) -> None:
    lost = drops(native)
    with connected(native, version) as (client, served):
        by_tc, by_xdp = by_hook(native, Reason.FORWARDED)
        assert by_tc >= 1
        received = native.packets("edge1", "bb0")[0]
        carry(client, served, SIZE)
        carry(served, client, SIZE)
        now_by_tc, now_by_xdp = by_hook(native, Reason.FORWARDED)
    assert now_by_xdp - by_xdp >= SIZE // 1500, "XDP forwarded the segments"
    assert now_by_tc - by_tc < 10, "and tc next to none"
    assert native.packets("edge1", "bb0")[0] - received >= SIZE // 65536
    assert drops(native) == lost
    assert native.forwarder("edge2", "status").startswith("XDP and tc: ")


def test_a_packet_whose_next_hop_has_no_neighbour_is_forwarded_by_tc(native: Any) -> None:
    """Which makes the kernel ask for the neighbour, and XDP goes on."""
    lost = drops(native)
    with connected(native) as (client, served):
        by_tc, by_xdp = by_hook(native, Reason.FORWARDED)

        def forwarded_by_tc() -> bool:
            native.in_("edge2", "ip", "neighbour", "flush", "dev", "bb0")
            carry(client, served, 1000)
            return by_hook(native, Reason.FORWARDED)[0] > by_tc

        native.until(forwarded_by_tc, "a packet by tc")
        carry(client, served, SIZE)
    assert by_hook(native, Reason.FORWARDED)[1] - by_xdp >= SIZE // 1500
    assert drops(native) == lost


def test_programs_are_replaced_and_taken_away_under_a_running_connection(native: Any) -> None:
    with connected(native) as (client, served):
        first = xdp_of(native, "up0")["prog"]["id"]
        native.forwarder("edge2", *LOAD, "--xdp", "native")
        assert xdp_of(native, "up0")["prog"]["id"] != first
        carry(client, served, SIZE)
        assert by_hook(native, Reason.FORWARDED)[1] >= SIZE // 1500
        native.forwarder("edge2", *LOAD, "--xdp", "off")
        assert xdp_of(native, "up0") == {}
        carry(client, served, SIZE)
        assert by_hook(native, Reason.FORWARDED)[1] == 0, "the counters are new, and XDP adds nothing"
    assert native.forwarder("edge2", "status").startswith("tc only: --xdp off")


def test_a_backbone_that_sends_nothing_from_xdp_is_found_out(wired: Any) -> None:
    """A veth whose other end has no GRO loses what is redirected to it: `native` is refused, and tc forwards."""
    wired.in_("backbone", "ethtool", "-K", "edge2", "gro", "off")
    try:
        with wired.inside("edge2"):
            assert not (features_of(socket.if_nametoindex("bb0")) or 0) & SENDS
        with pytest.raises(AssertionError, match="cannot transmit redirected packets"):
            wired.forwarder("edge2", *LOAD, "--xdp", "native")
        assert xdp_of(wired, "up0") == xdp_of(wired, "bb0") == {}
        with connected(wired) as (client, served):
            carry(client, served, SIZE)
    finally:
        wired.in_("backbone", "ethtool", "-K", "edge2", "gro", "on")


def test_a_backbone_that_stops_sending_leaves_forwarding_to_tc(native: Any) -> None:
    """The daemon finds it, and takes XDP away until the next load."""
    native.forwarder("edge2", *LOAD, "--xdp", "native")
    with connected(native) as (client, served):
        carry(client, served, SIZE)
        assert xdp_of(native, "up0")
        native.in_("backbone", "ethtool", "-K", "edge2", "gro", "off")
        try:
            native.until(lambda: xdp_of(native, "up0") == {}, "XDP taken away", 60)
            carry(client, served, SIZE)
        finally:
            native.in_("backbone", "ethtool", "-K", "edge2", "gro", "on")
    native.forwarder("edge2", *LOAD, "--xdp", "native")
    assert xdp_of(native, "up0")


def test_a_foreign_xdp_program_is_left_alone_and_ours_detached(wired: Any) -> None:
    """`native` refuses before anything has changed; `auto` does without; `detach` takes what is ours."""
    from balancer.datapath.load.form import load_programs

    wired.forwarder("edge2", *LOAD, "--xdp", "native")
    assert xdp_of(wired, "up0")
    wired.forwarder("edge2", "detach")
    assert xdp_of(wired, "up0") == {}
    assert list((wired.state("edge2") / "bpf").glob("sennit*")) == []

    theirs = load_programs(available_object(), fast=True)
    with wired.inside("edge2"):
        link = link_xdp(theirs.programs["backbone_xdp"], socket.if_nametoindex("up0"))
    try:
        program = xdp_of(wired, "up0")["prog"]["id"]
        with pytest.raises(AssertionError, match="XDP program of another owner"):
            wired.forwarder("edge2", *LOAD, "--xdp", "native")
        assert "sennit" not in wired.in_("edge2", "tc", "filter", "show", "dev", "up0", "ingress")
        wired.forwarder("edge2", *LOAD)
        assert "XDP program of another owner" in wired.forwarder("edge2", "status")
        assert xdp_of(wired, "up0")["prog"]["id"] == program
    finally:
        os.close(link)


class NumberedSegments:
    """Segments of a client to edge 1's locator, each with a number of its own, and those that reach edge 1."""

    def __init__(self, network: Any) -> None:
        with network.inside("phone"):
            self._out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
            self._out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wifi0")
        with network.inside("edge1"):
            self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
            self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
            self._tap.bind(("bb0", ETH_P_IP))
        self._tap.settimeout(0.2)
        self._stopped = threading.Event()
        self._sender = threading.Thread(target=self._send)
        self.sent = 0

    def __enter__(self) -> "NumberedSegments":
        self._sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._sender.join()
        self._out.close()

    def _send(self) -> None:
        while not self._stopped.wait(0.001):
            for _ in range(4):
                head = struct.pack("!HHIIBBHHH", 40000, 10001, self.sent, 1, 5 << 4, 0x10, 512, 0, 0)
                self._out.sendto(head + b"numbered", (LOCATORS[4][0], 0))
                self.sent += 1

    def read_arrived(self) -> collections.Counter[int]:
        """Return how often each number was delivered: the tap is behind the programs, which decapsulate."""
        arrived: collections.Counter[int] = collections.Counter()
        with contextlib.suppress(TimeoutError):
            while True:
                frame, address = self._tap.recvfrom(2048)
                if address[2] != socket.PACKET_OUTGOING and frame[34:38] == PORTS:
                    arrived[int.from_bytes(frame[38:42], "big")] += 1
        self._tap.close()
        return arrived


@pytest.mark.timeout(900)
def test_a_reload_under_traffic_loses_and_doubles_no_packet(native: Any) -> None:
    """As an upgrade does it: the same hook again, away from XDP, and back; each segment arrives once."""
    lost = drops(native)
    with NumberedSegments(native) as segments:
        for mode in ("native", "off", "native"):
            before = segments.sent
            native.forwarder("edge2", *LOAD, "--xdp", mode)
            assert segments.sent > before, "there was traffic during the load"
            sent = segments.sent
            native.until(lambda sent=sent: segments.sent > sent + 100, "traffic after the load")
    arrived = segments.read_arrived()
    assert len(arrived) == segments.sent, f"{segments.sent - len(arrived)} of {segments.sent} lost"
    assert set(arrived.values()) == {1}
    assert drops(native) == lost
