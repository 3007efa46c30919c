"""An edge may begin to announce when 99 of 100 live forwarders have the generation that holds it."""

from typing import Any

import pytest

from balancer.control.health.acknowledgement import STUCK_LEASES, Acknowledgements
from balancer.model.table import EdgeState, ForwardingTable, TableEdge


class Hands:
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Any:
        raise NotImplementedError


def table(generation: int, *edges: TableEdge) -> ForwardingTable:
    return ForwardingTable(generation, (), edges)


def edge(edge_id: int, state: EdgeState = EdgeState.UP, tunnel: str | None = None) -> TableEdge:
    return TableEdge(edge_id, f"edge{edge_id}", tunnel or f"10.255.0.{edge_id}", None, state)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def known(hands: Hands) -> Acknowledgements:
    made = Acknowledgements(hands, 10.0, table(1))
    for edge_id in range(1, 201):
        made.note(edge_id, 5, 10)
    return made


def test_nearly_all_forwarders_must_have_it(known: Acknowledgements) -> None:
    newest = table(6, edge(1))
    assert not known.is_held(1, newest)
    for edge_id in range(1, 198):
        known.note(edge_id, 6, 10)
    assert not known.is_held(1, newest), "197 of 200"
    known.note(198, 7, 10)
    assert known.is_held(1, newest)


def test_an_edge_that_the_table_does_not_send_subflows_to_is_not_held(known: Acknowledgements) -> None:
    assert not known.is_held(1, table(5))
    assert not known.is_held(1, table(5, edge(1, EdgeState.DOWN)))


def test_what_changes_for_others_asks_for_no_new_acknowledgement(known: Acknowledgements) -> None:
    assert known.is_held(1, table(5, edge(1)))
    assert known.is_held(1, table(6, edge(1), edge(2)))
    assert not known.is_held(2, table(6, edge(1), edge(2)))


def test_another_tunnel_address_is_another_place(known: Acknowledgements) -> None:
    assert known.is_held(1, table(5, edge(1)))
    assert not known.is_held(1, table(6, edge(1, tunnel="10.255.9.9")))


def test_who_is_silent_or_has_no_forwarder_is_not_waited_for(known: Acknowledgements) -> None:
    for edge_id in range(3, 200):
        known.forget(edge_id)
    known.note(2, None, 10)
    known.note(200, 6, 10)
    known.note(1, 6, 10)
    assert known.is_held(1, table(6, edge(1)))


def test_a_forwarder_that_stopped_to_follow_is_not_waited_for_indefinitely(
    known: Acknowledgements, hands: Hands
) -> None:
    newest = table(6, edge(1))
    assert not known.is_held(1, newest)
    hands.seconds = STUCK_LEASES * 10 + 0.1
    assert known.is_held(1, newest)


async def test_the_answer_to_a_heartbeat_says_so(api: Any) -> None:
    await api.enrol(1)
    await api.enrol(2)
    await api.heartbeat(2, applied_generation=2)
    await api.heartbeat(1, applied_generation=2)
    newest = (await api.table())["generation"]
    assert not (await api.heartbeat(1, applied_generation=newest)).json()["may_announce"], "edge 2 is behind"
    await api.heartbeat(2, applied_generation=newest)
    assert (await api.heartbeat(1, applied_generation=newest)).json()["may_announce"]
    assert (await api.heartbeat(2, applied_generation=2, announcing=True)).json()["may_announce"]
