"""The ring's properties: minimal disruption, weights, and what the last change leaves behind."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import tcp

from balancer.model.reference.flow import ring_hash
from balancer.model.reference.packet import read_frame
from balancer.model.ring import BUCKETS, PUBLIC_SEED, bucket_owners, compute_ring, ring_of, seeds_of
from balancer.model.table import ForwardingTable, Member, Site

MEMBERS = st.lists(
    st.builds(Member, st.integers(1, 300), st.integers(1, 8)),
    min_size=1,
    max_size=6,
    unique_by=lambda m: m.id,
).map(tuple)
FEW = settings(max_examples=12)


@FEW
@given(members=MEMBERS, more=st.integers(301, 400), weight=st.integers(1, 8))
def test_only_the_edge_that_comes_or_goes_moves_buckets(
    members: tuple[Member, ...], more: int, weight: int
) -> None:
    without, with_it = bucket_owners(members), bucket_owners((*members, Member(more, weight)))
    for before, after in zip(without, with_it, strict=True):
        assert after in (before, more), (
            "adding moves buckets to the new edge alone, losing it back where they were"
        )


@FEW
@given(members=MEMBERS)
def test_the_order_of_members_means_nothing(members: tuple[Member, ...]) -> None:
    assert bucket_owners(members) == bucket_owners(tuple(reversed(members)))


@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (5, 1, 2, 2)])
def test_buckets_are_in_proportion_to_weights(weights: tuple[int, ...]) -> None:
    members = tuple(Member(number, weight) for number, weight in enumerate(weights, start=1))
    held = Counter(bucket_owners(members))
    for member in members:
        share = member.weight / sum(weights)
        assert held[member.id] / BUCKETS == pytest.approx(share, abs=0.04)


def test_a_heavier_edge_takes_buckets_from_all_and_gives_none() -> None:
    light, heavy = (
        bucket_owners((Member(1), Member(2), Member(3))),
        bucket_owners((Member(1, 2), Member(2), Member(3))),
    )
    assert {after for before, after in zip(light, heavy, strict=True) if before != after} == {1}


def test_the_ring_has_who_was_there_before() -> None:
    site = Site("a", (Member(1),), (Member(1), Member(2)))
    assert {bucket.owner for bucket in compute_ring(site)} == {1}
    assert {bucket.previous for bucket in compute_ring(site)} == {1, 2}
    table = ForwardingTable(1, sites=(site,))
    assert ring_of(2, table) == ring_of(1, table), "an edge that left knows the ring too"
    assert ring_of(3, table) == ()
    assert set(bucket_owners((Member(1), Member(2, 0)))) == {1}, "it hands on, and takes nothing"
    assert all(bucket.owner == bucket.previous for bucket in compute_ring(Site("a", (Member(1), Member(2)))))


def test_flows_that_were_chosen_by_the_public_seed_are_spread_by_a_secret_one() -> None:
    """Who knows the seed can choose 500 flows of one edge; without it they go where they go."""
    members = tuple(Member(number) for number in range(1, 5))
    table = ForwardingTable(1, sites=(Site("a", members, (), "0123456789abcdef", "0123456789abcdef"),))
    (seed, previous), ring = seeds_of(1, table), ring_of(1, table)
    assert seed == previous == (0x01234567, 0x89ABCDEF)
    chosen = []
    for port in range(1024, 65536):
        flow = read_frame(tcp(source_port=port))
        assert flow is not None
        if ring[ring_hash(flow, PUBLIC_SEED) % BUCKETS].owner == 1:
            chosen.append(flow)
        if len(chosen) == 500:
            break
    met = Counter(ring[ring_hash(flow, seed) % BUCKETS].owner for flow in chosen)
    assert len(chosen) == 500
    assert all(80 < met[number] < 170 for number in range(1, 5)), met
