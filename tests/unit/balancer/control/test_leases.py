"""Leases: what silence, words and the operator do to an edge's state in the table."""

from typing import Any

from sqlalchemy import event


async def test_an_edge_is_down_until_it_is_heard_of(api: Any) -> None:
    await api.enrol(1)
    assert await api.states() == {1: "down"}
    assert (await api.heartbeat(1)).json()["admin_state"] == "active"
    assert await api.states() == {1: "up"}


async def test_silence_takes_an_edge_down_and_a_word_brings_it_back(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    await api.pass_time(9.9)
    assert await api.states() == {1: "up"}
    await api.pass_time(0.2)
    assert await api.states() == {1: "down"}
    await api.heartbeat(1)
    assert await api.states() == {1: "up"}


async def test_an_edge_can_say_itself_that_it_is_down_but_degraded_is_not_down(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1, health="degraded")
    assert await api.states() == {1: "up"}
    await api.heartbeat(1, health="down")
    assert await api.states() == {1: "down"}


async def test_heartbeats_that_change_nothing_make_no_generation(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    generation = (await api.table())["generation"]
    for _ in range(5):
        await api.pass_time(3)
        await api.heartbeat(1)
    assert (await api.table())["generation"] == generation


async def test_what_is_wanted_is_apart_from_what_is(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    for wanted, state in (("draining", "draining"), ("disabled", "down"), ("active", "up")):
        answer = await api.ask("PATCH", "/v1/edges/1", {"admin_state": wanted})
        assert (answer.json()["admin_state"], await api.states()) == (wanted, {1: state})
    await api.pass_time(11)
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    assert await api.states() == {1: "down"}


async def test_after_a_restart_nothing_expires_for_one_lease(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await api.enrol(1)
        await api.heartbeat(1)
        before = await api.table()
    api.clock.seconds += 3600  # the control plane was away for an hour
    async with restartable() as api:
        await api.pass_time(9.9)
        assert await api.table() == before
        await api.pass_time(0.2)
        assert await api.states() == {1: "down"}


async def test_a_heartbeat_that_changes_nothing_asks_no_database(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(api.plane.store.engine.sync_engine, "before_cursor_execute", note)
    headers = {"Authorization": "Bearer credential-1"}
    answer = await api.http.put("/v1/edges/1/lease", json={"health": "ok"}, headers=headers)
    assert (answer.status_code, asked) == (200, [])
    await api.table()
    await api.edge(1)
    assert asked, "what is asked is noted"
