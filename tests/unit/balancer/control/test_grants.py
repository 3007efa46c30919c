"""Grants: an edge withdraws for a soft failure only where enough others are well, in any order of failures."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from examples import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from balancer.agent.announce.withdrawal_grant import WithdrawalGrantState
from balancer.api.schemas import Health, LeaseRequest
from balancer.control.grants.book import GrantBook
from balancer.control.grants.budget import Standing, may_withdraw, minimum_announcing
from balancer.control.health.leases import Leases


@pytest.fixture
def database() -> None:
    """SQLite: with several instances one of them alone gives grants, a lease after it took that over."""


@pytest.mark.parametrize(
    ("share", "active", "stay"),
    [(2 / 3, 3, 2), (2 / 3, 4, 3), (2 / 3, 1, 1), (2 / 3, 0, 0), (0, 5, 1), (1, 5, 5)],
)
def test_the_minimum_is_a_share_of_the_active_edges(share: float, active: int, stay: int) -> None:
    assert minimum_announcing(share, active) == stay


def test_where_no_edge_is_healthy_none_withdraws() -> None:
    fleet = [Standing(n, active=True, announcing=True, well=False) for n in range(1, 10)]
    assert not any(may_withdraw(n, fleet, 0.0, announcing=True) for n in range(1, 10))


async def ask(api: Any, edge_id: int, **more: Any) -> Any:
    body = {"health": "degraded", "announcing": True, "withdraw": True, **more}
    return (await api.heartbeat(edge_id, **body)).json()["grant"]


async def well(api: Any, *edge_ids: int) -> None:
    for edge_id in edge_ids:
        await api.heartbeat(edge_id, announcing=True)


async def three(api: Any) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
    await well(api, 1, 2, 3)


async def test_one_of_three_may_withdraw_and_the_next_may_not(api: Any) -> None:
    await three(api)
    assert await ask(api, 1) == {"seconds": 10}
    assert (await api.edge(1))["lease"]["granted"]
    assert await ask(api, 2) is None
    assert await ask(api, 1, announcing=False), "it is renewed, though edge 2 fails too"


async def test_a_grant_is_given_back_or_ends_by_itself(api: Any) -> None:
    await three(api)
    assert await ask(api, 1)
    await well(api, 1)
    assert await ask(api, 2), "edge 1 gave it back"
    await api.pass_time(6)
    await well(api, 1, 3)
    await api.pass_time(5)
    await well(api, 1, 3)
    assert await ask(api, 3) is None, "edge 2 is silent: it does not count among those that are well"
    await well(api, 2)
    assert await ask(api, 3), "its grant has ended"


async def test_a_drained_edge_does_not_count(api: Any) -> None:
    await three(api)
    await api.ask("PATCH", "/v1/edges/3", {"admin_state": "draining"})
    assert await ask(api, 1) is None, "of two active edges two must stay"
    assert await ask(api, 3) is None, "who is drained needs no leave"


async def test_after_a_start_no_grant_before_the_others_were_heard(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await three(api)
        assert await ask(api, 1)
    async with restartable() as api:
        assert await ask(api, 2) is None
        await well(api, 3)
        assert await ask(api, 2) is None
        assert await ask(api, 1, announcing=False), "it is away already, and two others announce"


SHARE = 2 / 3
LEASE = 10.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Any:
        raise NotImplementedError


@dataclass
class Edge:
    """An edge as its agent runs it: what it announces, and the leave that it has."""

    leave: WithdrawalGrantState = field(default_factory=lambda: WithdrawalGrantState(LEASE))
    soft: bool = False
    announcing: bool = True
    in_flight: list[tuple[float, bool, float | None]] = field(default_factory=list)

    def act(self, now: float) -> None:
        self.leave.update(self.soft, now)
        if self.leave.granted(now):
            self.announcing = False
        elif not self.soft or self.leave.must_announce(now):
            self.announcing = True


class FleetOfSoftFailures(RuleBasedStateMachine):
    """Edges fail softly in any order; answers are lost, late and out of order; the control plane restarts."""

    @initialize(count=st.integers(1, 12))
    def build(self, count: int) -> None:
        self.clock = Clock()
        self.edges = {number: Edge() for number in range(1, count + 1)}
        self.restart()

    def _edge(self, number: int) -> Edge:
        return self.edges[1 + number % len(self.edges)]

    @rule()
    def restart(self) -> None:
        self.leases = Leases(self.clock, LEASE)
        self.grants = GrantBook(self.clock, self.leases, LEASE, SHARE)

    @rule(number=st.integers(0, 11), soft=st.booleans())
    def fail_or_recover(self, number: int, soft: bool) -> None:
        self._edge(number).soft = soft

    @rule(soft=st.booleans())
    def fail_or_recover_all_at_once(self, soft: bool) -> None:
        for edge in self.edges.values():
            edge.soft = soft

    @rule(number=st.integers(0, 11), arrives=st.booleans())
    def send(self, number: int, arrives: bool) -> None:
        edge_id = 1 + number % len(self.edges)
        edge, now = self.edges[edge_id], self.clock.seconds
        edge.act(now)
        if edge.in_flight:
            return  # an agent has one request under way
        heartbeat = LeaseRequest(
            health=Health.DEGRADED if edge.soft else Health.OK,
            announcing=edge.announcing and not edge.leave.granted(now),
            withdraw=edge.leave.asking,
        )
        if not arrives:
            return
        self.leases.renew(edge_id, heartbeat)
        if not heartbeat.withdraw:
            self.grants.give_back(edge_id)
            return
        given = self.grants.request_grant(edge_id, set(self.edges))
        edge.in_flight.append((now, heartbeat.withdraw, self.grants.seconds if given else None))

    @rule(number=st.integers(0, 11), lost=st.booleans())
    def answer(self, number: int, lost: bool) -> None:
        edge = self._edge(number)
        if edge.in_flight:
            sent_at, _, seconds = edge.in_flight.pop()
            if not lost:
                edge.leave.apply_answer(sent_at, seconds)
                edge.act(self.clock.seconds)

    @rule(seconds=st.floats(0.1, 12))
    def pass_time(self, seconds: float) -> None:
        self.clock.seconds += seconds
        for edge in self.edges.values():
            edge.act(self.clock.seconds)

    @invariant()
    def the_fleet_never_withdraws_below_its_minimum(self) -> None:
        announcing = sum(edge.announcing for edge in self.edges.values())
        assert announcing >= minimum_announcing(SHARE, len(self.edges))


FleetOfSoftFailures.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=60)
test_edges_fail_softly_in_any_order = FleetOfSoftFailures.TestCase
