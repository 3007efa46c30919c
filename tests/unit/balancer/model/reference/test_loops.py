"""Edges of a site whose tables disagree: whatever each believes, a packet meets an end after a few tunnels."""

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import VIP, VIP6, tcp

from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.reference.packet import ETHERNET, read_frame
from balancer.model.reference.tunnel import HAND_ON_TTL, Ends
from balancer.model.table import ForwardingTable, Member, Site, TableEdge
from balancer.model.verdict import Reason
from node.vip import Vip

IDS = (1, 2, 3, 4)
EDGES = tuple(TableEdge(number, f"edge{number}", f"10.255.0.{number}", None) for number in IDS)
GOES_ON = {Reason.SITE_FORWARDED, Reason.SITE_CHAINED}


def believer(own: int, owner: int, previous: int) -> ReferenceForwarder:
    """An edge whose table gives every bucket to `owner`, and gave it to `previous` before."""
    members = tuple(sorted({own, owner, previous}))
    lists = (tuple(Member(number, int(number == of)) for number in members) for of in (owner, previous))
    table = ForwardingTable(own, (Vip("main", VIP, VIP6),), EDGES, (Site("a", *lists),))
    return ReferenceForwarder(own, Ends(f"10.255.0.{own}", None), table)


def count_tunnels(fleet: dict[int, ReferenceForwarder], entry: int, packet: bytes) -> int:
    """Return by how many tunnels a packet goes that enters at an edge."""
    outcome, tunnels = fleet[entry].outside(packet), 0
    while outcome.reason in GOES_ON and tunnels < 300:
        tunnels += 1
        outer = read_frame(outcome.packet or b"")
        assert outer is not None
        outcome = fleet[outer.destination[-1]].tunnel(outcome.packet or b"")
    return tunnels


@pytest.mark.parametrize("circle", list(permutations((1, 2, 3))))
def test_three_edges_that_each_know_the_next_as_previous_do_not_send_a_packet_round(
    circle: tuple[int, ...],
) -> None:
    following = dict(zip(circle, (*circle[1:], circle[0]), strict=True))
    fleet = {own: believer(own, own, following[own]) for own in circle}
    assert 1 < count_tunnels(fleet, circle[0], tcp()) <= HAND_ON_TTL


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(list(product(IDS, IDS))), min_size=4, max_size=4), st.sampled_from(IDS))
def test_no_disagreement_of_tables_sends_a_packet_round(beliefs: list[tuple[int, int]], entry: int) -> None:
    fleet = {own: believer(own, *belief) for own, belief in zip(IDS, beliefs, strict=True)}
    for packet in (tcp(), tcp(source="2001:db8:1::2", destination=VIP6)):
        assert read_frame(packet) is not None
        assert count_tunnels(fleet, entry, packet) <= HAND_ON_TTL


def test_the_ttl_of_what_arrives_from_outside_is_kept() -> None:
    forwarder = believer(1, 2, 2)
    packet = tcp()
    sent = forwarder.outside(packet)
    assert sent.reason is Reason.SITE_FORWARDED
    assert (sent.packet or b"").endswith(packet[ETHERNET:])
