"""Acknowledgements: which forwarders have which generation; a freed id is quarantined once none forwards to it."""

from typing import Any


async def beat(api: Any, number: int, generation: int) -> None:
    body = {"health": "ok", "applied_generation": generation}
    answer = await api.ask("PUT", f"/v1/edges/{number}/lease", body, token=f"credential-{number}")
    assert answer.status_code == 200


async def test_it_is_counted_who_has_a_generation(api: Any) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
    await beat(api, 1, 1)
    await beat(api, 2, 1)
    newest = (await api.table())["generation"]
    await beat(api, 1, newest)
    await beat(api, 2, newest - 1)
    shown = (await api.ask("GET", "/v1/table/acknowledgements")).json()
    assert (shown["generation"], shown["forwarders"], shown["applied"], shown["share"]) == (newest, 2, 1, 0.5)
    assert shown["behind"] == [{"edge_id": 2, "applied_generation": newest - 1}]
    shown = (await api.ask("GET", "/v1/table/acknowledgements", params={"generation": newest - 1})).json()
    assert shown["share"] == 1


async def test_a_freed_id_rests_from_the_acknowledged_removal_on(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number)
    old = (await api.table())["generation"]
    await beat(api, 2, old)
    await api.ask("DELETE", "/v1/edges/1")
    without = (await api.table())["generation"]
    api.clock.seconds += 7200  # longer than the quarantine, and edge 2 keeps the old table
    await beat(api, 2, old)
    await api.pass_time(1)
    assert (await api.enrol(3)).json()["edge"]["id"] == 3
    await beat(api, 2, without)
    await api.pass_time(1)
    api.clock.seconds += 3590
    assert (await api.enrol(4)).json()["edge"]["id"] == 4
    api.clock.seconds += 10
    assert (await api.enrol(5)).json()["edge"]["id"] == 1


async def test_a_forwarder_that_died_is_not_waited_for(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number)
    await beat(api, 2, 1)
    await api.ask("DELETE", "/v1/edges/1")
    await api.pass_time(11)
    api.clock.seconds += 3600
    assert (await api.enrol(3)).json()["edge"]["id"] == 1
