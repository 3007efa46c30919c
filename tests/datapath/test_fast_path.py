"""The fast path in XDP: what it ends, it ends as the reference says; everything else it passes up as it came."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from any_packets import EITHER, FIELDS, FIRST_SUBFLOWS, V4, V6, damaged
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loaded_programs import Programs, Ran
from packets import ACK, CLIENT6, SYN, VIP6, icmp_error, tcp

from balancer.datapath.maps.layout import NO_LIMITS
from balancer.model.reference.decision import Outcome, ReferenceForwarder
from balancer.model.reference.packet import SYN as SYN_FLAG
from balancer.model.reference.packet import TCP_PROTOCOL, read_frame
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "bcc")

RUNS = settings(max_examples=examples(400), suppress_health_check=[HealthCheck.function_scoped_fixture])
XDP_DROP, XDP_REDIRECT = 1, 4
ITS_OWN = {
    Reason.FORWARDED,
    Reason.SITE_FORWARDED,
    Reason.DROP_ID_ZERO,
    Reason.DROP_OTHER_PORT,
    Reason.DROP_UNKNOWN_ID,
}
LOCATORS = st.sampled_from([10002, 10003, 10004, 10005, 10006, 20002, 10000, 443])
SEGMENT = FIELDS | {
    "port": LOCATORS,
    "flags": st.sampled_from([16, 24, 17, 20]),
    "fragment": st.just(0x4000),
}
SEGMENTS = st.one_of(
    st.builds(tcp, destination=V4, **SEGMENT),
    st.builds(tcp, source=st.just(CLIENT6), destination=V6, **SEGMENT),
)


@pytest.fixture
def fast(programs: Programs) -> Iterator[Programs]:
    """The programs, where the next hop to every edge is known."""
    programs.know_next_hops()
    yield programs
    programs.forget_next_hops()


def agree(ran: Ran | None, wanted: Outcome, packet: bytes, hardware: bytes) -> None:
    if ran is None:
        assert wanted.reason not in ITS_OWN or not is_plain(packet), "XDP could have done that"
        return
    assert ran.reason is wanted.reason
    if wanted.packet is None:
        assert ran.action == XDP_DROP
    else:
        assert ran.action == XDP_REDIRECT
        assert ran.packet == hardware + wanted.packet[12:]


def is_plain(frame: bytes) -> bool:
    """A segment that is no SYN, of a header that stands where it mostly does."""
    packet = read_frame(frame)
    assert packet is not None
    return packet.protocol == TCP_PROTOCOL and not packet.has_options and not packet.flags & SYN_FLAG


@RUNS
@given(packet=damaged(st.one_of(EITHER, SEGMENTS, SEGMENTS)))
def test_from_outside(fast: Programs, encapsulation: ReferenceForwarder, packet: bytes) -> None:
    agree(fast.run_fast(packet), encapsulation.outside(packet), packet, fast.hardware)


@RUNS
@given(packet=damaged(FIRST_SUBFLOWS))
def test_at_a_site(fast: Programs, site: ReferenceForwarder, packet: bytes) -> None:
    ran, wanted = fast.run_fast(packet), site.outside(packet)
    if ran is not None:
        agree(ran, wanted, packet, fast.hardware)


def test_most_of_a_transfer_does_not_reach_tc(fast: Programs) -> None:
    for packet in (tcp(port=10002, data=bytes(1400)), tcp(CLIENT6, VIP6, port=10004, data=bytes(1400))):
        assert fast.run_fast(packet).reason is Reason.FORWARDED


@pytest.mark.parametrize(
    "packet",
    [
        tcp(port=10002, flags=SYN),
        tcp(port=10001),
        tcp(port=443),
        tcp(port=10002, data=bytes(1500)),
        tcp(port=10002, ip_options=bytes(4)),
        tcp(port=10002, fragment=0x2000),
        tcp(port=10002)[:50],
        icmp_error(tcp("203.0.113.1", "198.51.100.7", source_port=10002, port=40000), "203.0.113.1"),
        b"\x02" * 12 + b"\x81\0\0\x05" + tcp(port=10002)[12:],
    ],
    ids=["SYN", "own", "service", "too big", "options", "fragment", "cut", "ICMP", "VLAN"],
)
def test_what_xdp_cannot_do_is_passed_up(fast: Programs, packet: bytes) -> None:
    assert fast.run_fast(packet) is None


def test_what_is_to_be_dropped_ends_in_xdp(programs: Programs) -> None:
    """No next hop is needed for that."""
    for port, reason in ((10777, Reason.DROP_UNKNOWN_ID), (10000, Reason.DROP_ID_ZERO)):
        ran = programs.run_fast(tcp(port=port))
        assert (ran.reason, ran.action) == (reason, XDP_DROP)


def test_without_a_neighbour_tc_does_it(programs: Programs) -> None:
    packet = tcp(port=10002, flags=ACK)
    assert programs.run_fast(packet) is None
    assert programs.run("outside_ingress", packet).reason is Reason.FORWARDED


def test_a_next_hop_of_another_tunnel_address_is_not_taken(
    fast: Programs, reference: ReferenceForwarder
) -> None:
    """An edge that moved: the way to where it was is no way to where it is."""
    moved = tuple(
        replace(edge, tunnel_v4="10.255.0.77") if edge.id == 2 else edge for edge in reference.table.edges
    )
    fast.put(replace(reference, table=replace(reference.table, edges=moved)))
    try:
        assert fast.run_fast(tcp(port=10002)) is None
    finally:
        fast.put(reference)


def test_what_is_being_captured_is_passed_up(fast: Programs) -> None:
    fast.live.words.capture = Reason.FORWARDED + 1
    try:
        assert fast.run_fast(tcp(port=10002)) is None
        assert fast.run_fast(tcp(port=10000)).reason is Reason.DROP_ID_ZERO
        fast.live.words.capture = Reason.DROP_UNKNOWN_ID + 1
        assert fast.run_fast(tcp(port=10777)) is None
    finally:
        fast.live.words.capture = 0


def test_strangers_beyond_their_owners_budget_end_in_xdp(fast: Programs) -> None:
    fast.allow(replace(NO_LIMITS, owner_packets=1))
    try:
        seen = [fast.run_fast(tcp(port=10002, source_port=number)).reason for number in range(1, 40)]
        assert set(seen) == {Reason.FORWARDED, Reason.DROP_NOT_ADMITTED}
        assert seen.count(Reason.DROP_NOT_ADMITTED) > 30
    finally:
        fast.allow(NO_LIMITS)


def test_martians_and_site_packets_beyond_their_budget_end_in_xdp(
    fast: Programs, site: ReferenceForwarder
) -> None:
    assert fast.run_fast(tcp("127.0.0.1", port=10002)).reason is Reason.DROP_MARTIAN
    fast.know_next_hops()
    fast.allow(replace(NO_LIMITS, site_packets=1))
    try:
        segments = [tcp(port=443, source_port=number) for number in range(1, 400)]
        seen = [ran.reason for each in segments if (ran := fast.run_fast(each))]
        assert set(seen) == {Reason.SITE_FORWARDED, Reason.DROP_SITE_BUDGET}
        assert seen.count(Reason.DROP_SITE_BUDGET) > len(seen) - 20
    finally:
        fast.allow(NO_LIMITS)
