"""Edges that flap: they are damped, and do not displace the generations that operators can return to."""

from typing import Any

import pytest

from balancer.control.health.damping import LIMIT, REUSE, SUPPRESS, FlapPenalty
from balancer.control.table.history import merge_changes
from balancer.control.table.live import KEPT_GENERATIONS


def test_points_halve_and_the_limit_bounds_the_damping() -> None:
    penalty = FlapPenalty(half_life=60.0)
    for _ in range(int(SUPPRESS) - 1):
        penalty.add_flap(0.0)
    assert not penalty.is_damped(0.0)
    for _ in range(100):
        penalty.add_flap(0.0)
    assert penalty.points_at(0.0) == LIMIT
    assert penalty.is_damped(179.0)
    assert penalty.points_at(181.0) < REUSE
    assert not penalty.is_damped(181.0)


@pytest.mark.parametrize("seconds", [30.0, 60.0, 600.0])
def test_an_edge_that_goes_down_seldom_is_not_damped(seconds: float) -> None:
    penalty = FlapPenalty(half_life=15.0)
    for flap in range(50):
        penalty.add_flap(flap * seconds)
        assert not penalty.is_damped(flap * seconds)


async def flap(api: Any, edge_id: int) -> None:
    await api.heartbeat(edge_id, health="down", reasons=["edge: nothing listens"])
    await api.heartbeat(edge_id)


async def test_an_edge_that_flaps_stays_down_until_it_is_stable(api: Any) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
        await api.heartbeat(number)
    for _ in range(20):
        await flap(api, 1)
    assert (await api.states())[1] == "down"
    assert "goes up and down" in str((await api.edge(1))["health"]["reasons"])
    assert (await api.table())["generation"] < 20, "40 changes of health are few generations"
    for _ in range(40):
        await api.pass_time(5)
        for number in (1, 2, 3):
            await api.heartbeat(number)
    assert (await api.states())[1] == "up"


async def test_no_more_than_a_third_of_the_edges_is_damped(api: Any) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
        await api.heartbeat(number)
    for _ in range(8):
        for number in (1, 2, 3):
            await flap(api, number)
    assert sorted((await api.states()).values()) == ["down", "up", "up"]


@pytest.mark.parametrize("database", [None])
async def test_flaps_do_not_displace_the_generations_of_operators(api: Any, database: None) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    await api.ask("PATCH", "/v1/edges/1", {"encapsulation": "gue"})
    chosen = await api.table()
    await api.ask("PATCH", "/v1/edges/1", {"encapsulation": "ipip"})
    for _ in range(KEPT_GENERATIONS // 2 + 10):  # the only edge is never damped
        await flap(api, 1)
    listed = (await api.ask("GET", "/v1/table/generations?limit=1000")).json()["items"]
    assert sum(each["by_health"] for each in listed) == KEPT_GENERATIONS
    assert chosen["generation"] in [each["generation"] for each in listed if not each["by_health"]]
    answer = await api.ask("POST", "/v1/table/rollback", {"generation": chosen["generation"]})
    assert answer.status_code == 200, answer.text
    after = await api.table()
    assert (after["edges"], after["vips"]) == (chosen["edges"], chosen["vips"])


def test_changes_that_undo_one_another_leave_nothing() -> None:
    edge = {"id": 1, "name": "edge1", "tunnel_v4": "10.255.0.1", "tunnel_v6": None, "encapsulation": "ipip"}
    up, down = edge | {"state": "up"}, edge | {"state": "down"}
    there = {"kind": "edge", "key": "1", "before": up, "after": down}
    back = {"kind": "edge", "key": "1", "before": down, "after": up}
    assert merge_changes([there, back]) == []
    assert merge_changes([there, back, there]) == [there]
