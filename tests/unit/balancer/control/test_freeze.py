"""Holding the table still, and rolling back: what is let through, what waits, and what comes afterwards."""

from typing import Any

import pytest


async def states(api: Any) -> dict[int, str]:
    found: dict[int, str] = await api.states()
    return found


async def two_edges(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number)
        await api.heartbeat(number)


async def test_a_frozen_table_waits_with_everything_but_deaths(api: Any) -> None:
    await two_edges(api)
    frozen = (await api.ask("PUT", "/v1/freeze", {"reason": "change freeze"})).json()
    assert (frozen["frozen"], frozen["why"]) == (True, "change freeze")
    before = await api.table()
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    await api.enrol(3)
    await api.heartbeat(3)
    await api.move(1, "10.255.9.9")
    assert await api.table() == before
    await api.heartbeat(2, health="down")
    assert await states(api) == {1: "up", 2: "down"}
    await api.heartbeat(2)
    assert await states(api) == {1: "up", 2: "up"}


async def test_what_waited_is_published_when_the_freeze_ends(api: Any) -> None:
    await two_edges(api)
    await api.ask("PUT", "/v1/freeze", {})
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    await api.enrol(3)
    generation = (await api.table())["generation"]
    assert (await api.ask("DELETE", "/v1/freeze")).status_code == 204
    assert await states(api) == {1: "draining", 2: "up", 3: "down"}
    assert (await api.table())["generation"] == generation + 1
    assert (await api.ask("GET", "/v1/freeze")).json()["frozen"] is False


async def test_a_removed_edge_stays_in_a_frozen_table_as_down_and_its_id_with_it(api: Any) -> None:
    await two_edges(api)
    await api.ask("PUT", "/v1/freeze", {})
    await api.ask("DELETE", "/v1/edges/1")
    assert await states(api) == {1: "down", 2: "up"}
    api.clock.seconds += 7200
    assert (await api.enrol(3)).json()["edge"]["id"] == 3
    await api.ask("DELETE", "/v1/freeze")
    assert 1 not in await states(api)


async def test_a_freeze_outlives_a_restart(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await two_edges(api)
        await api.ask("PUT", "/v1/freeze", {})
        before = await api.table()
    async with restartable() as api:
        await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
        assert await api.table() == before
        await api.ask("DELETE", "/v1/freeze")
        assert await states(api) == {1: "draining", 2: "up"}


async def test_a_rollback_is_a_new_generation_with_the_content_of_an_old_one(api: Any) -> None:
    await two_edges(api)
    old = await api.table()
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    await api.move(2, "10.255.9.9")
    newest = (await api.table())["generation"]
    body = {"generation": old["generation"], "reason": "wrong address"}
    assert (await api.ask("POST", "/v1/table/rollback", body)).json()["generation"] == old["generation"]
    now = await api.table()
    assert (now["generation"], now["edges"]) == (newest + 1, old["edges"])
    await api.ask("DELETE", "/v1/freeze")
    assert await states(api) == {1: "draining", 2: "up"}
    assert (await api.table())["edges"][1]["tunnel_v4"] == "10.255.9.9"


async def test_a_rollback_takes_no_edge_down_that_was_down_then(api: Any) -> None:
    await two_edges(api)
    await api.heartbeat(2, health="down")
    old = await api.table()
    await api.heartbeat(2)
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    await api.ask("POST", "/v1/table/rollback", {"generation": old["generation"]})
    assert await states(api) == {1: "up", 2: "up"}


async def test_a_rollback_never_gives_an_id_back_to_whom_it_was_taken_from(api: Any) -> None:
    await two_edges(api)
    old = (await api.table())["generation"]
    await api.ask("DELETE", "/v1/edges/1")
    await api.heartbeat(2)
    await api.pass_time(1)
    api.clock.seconds += 3600
    assert (await api.enrol(9)).json()["edge"]["id"] == 1
    answer = await api.ask("POST", "/v1/table/rollback", {"generation": old})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "generation")


@pytest.mark.parametrize("generation", [0, 99])
async def test_what_is_not_kept_is_not_rolled_back_to(api: Any, generation: int) -> None:
    answer = await api.ask("POST", "/v1/table/rollback", {"generation": generation})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "generation")


async def test_generations_are_listed_with_what_they_changed(api: Any) -> None:
    await two_edges(api)
    listed = (await api.ask("GET", "/v1/table/generations")).json()["items"]
    assert listed[0]["changes"] == ["edge2 down -> up"]
    assert listed[-1]["changes"] == ["main added"]
    assert [each["generation"] for each in listed] == list(range(len(listed), 0, -1))


async def test_freezing_and_rolling_back_are_in_the_audit_log(api: Any) -> None:
    await two_edges(api)
    await api.ask("PUT", "/v1/freeze", {"reason": "launch day"})
    await api.ask("DELETE", "/v1/freeze", headers={"Sennit-Reason": "over"})
    entries = (await api.ask("GET", "/v1/audit")).json()["items"]
    assert [(each["what"], each["why"]) for each in entries[:2]] == [
        ("table.thaw", "over"),
        ("table.freeze", "launch day"),
    ]
