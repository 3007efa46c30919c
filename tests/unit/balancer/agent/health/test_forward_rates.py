"""Rates out of the forwarder's counts."""

from pathlib import Path

import pytest

from balancer.agent.health.forward_rates import RATES_LIMIT, STALE, ForwardRateMeter
from node.state.catalogue import TRAFFIC


class Node:
    """A state folder, its forwarder's file, and a clock."""

    def __init__(self, state: Path) -> None:
        self.now = 100.0
        self._state = state
        self.forwards = ForwardRateMeter(state, lambda: self.now)

    def write(self, sent: dict[str, list[int]]) -> None:
        TRAFFIC.write_object(self._state, {"at": self.now, "sent": sent})

    def rates(self) -> dict[int, tuple[int, int]]:
        return {one.edge_id: (one.packets_per_second, one.bits_per_second) for one in self.forwards.rates()}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_first_count_says_nothing_and_the_second_gives_rates(node: Node) -> None:
    node.write({"2": [1000, 1_000_000]})
    assert node.rates() == {}
    node.now += 2
    node.write({"2": [1200, 1_250_000], "3": [20, 4000]})
    assert node.rates() == {2: (100, 1_000_000), 3: (10, 16_000)}
    node.now += 1  # the same file is still good
    assert node.rates() == {2: (100, 1_000_000), 3: (10, 16_000)}


def test_an_edge_that_gets_nothing_more_is_left_out(node: Node) -> None:
    node.write({"2": [5, 500]})
    node.rates()
    node.now += 2
    node.write({"2": [5, 500]})
    assert node.rates() == {}


def test_counters_that_begin_anew_give_no_negative_rate(node: Node) -> None:
    node.write({"2": [1000, 1_000_000]})
    node.rates()
    node.now += 2
    node.write({"2": [10, 900]})
    assert node.rates() == {}


def test_a_forwarder_that_writes_no_more_counts_as_forwarding_nothing(node: Node) -> None:
    node.write({})
    node.rates()
    node.now += 2
    node.write({"2": [10, 900]})
    assert node.rates()
    node.now += STALE + 1
    assert node.rates() == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at": "x", "sent": {}}', '{"at": 1, "sent": {"2": 3}}'])
def test_a_file_that_makes_no_sense_is_none(node: Node, tmp_path: Path, text: str) -> None:
    TRAFFIC.write_text(tmp_path, text)
    assert node.rates() == {}


def test_only_the_busiest_are_reported(node: Node) -> None:
    node.write({})
    node.rates()
    node.now += 2
    node.write({str(edge): [edge, edge * 1000] for edge in range(1, 200)})
    rates = node.rates()
    assert len(rates) == RATES_LIMIT
    assert min(rates) == 200 - RATES_LIMIT
