"""Health apart from what is wanted: an edge's own word, its peers' view, reasons and since when."""

from typing import Any

import pytest


def sees(edge_id: int, reached: bool, **more: Any) -> dict[str, Any]:
    return {"edge_id": edge_id, "forwarding": reached, **more}


async def three(api: Any) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
        await api.heartbeat(number)


async def reasons(api: Any, edge_id: int) -> list[str]:
    return [each["reason"] for each in (await api.edge(edge_id))["health"]["reasons"]]


async def test_health_and_what_is_wanted_are_two_things(api: Any) -> None:
    await api.enrol(1)
    assert (await api.edge(1))["health"]["state"] == "down"
    await api.heartbeat(1, health="degraded", reasons=["origin: no answer"])
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    shown = await api.edge(1)
    assert (shown["admin_state"], shown["health"]["state"]) == ("draining", "degraded")
    assert await reasons(api, 1) == ["origin: no answer"]


async def test_a_state_and_each_reason_have_a_time_of_their_own(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    await api.pass_time(2)
    await api.heartbeat(1, health="degraded", reasons=["origin: no answer"])
    await api.pass_time(3)
    await api.heartbeat(1, health="degraded", reasons=["origin: no answer", "probe-service: refused"])
    health = (await api.edge(1))["health"]
    assert health["since"].endswith(":02Z")
    assert [each["since"][-4:] for each in health["reasons"]] == [":02Z", ":05Z"]
    await api.heartbeat(1)
    health = (await api.edge(1))["health"]
    assert (health["state"], health["since"][-4:], health["reasons"]) == ("up", ":05Z", [])


async def test_silence_is_not_down_while_a_peer_reaches_the_edge(api: Any) -> None:
    await three(api)
    for _ in range(4):
        await api.pass_time(4)
        await api.heartbeat(2, peers=[sees(1, True)])
        await api.heartbeat(3, peers=[sees(1, False)])
    assert (await api.states())[1] == "up"
    assert (await api.edge(1))["health"]["state"] == "degraded"
    assert await reasons(api, 1) == ["lease lost", "reached by edge 2"]
    await api.heartbeat(2, peers=[sees(1, False, outside=True)])
    await api.pass_time(0.5)
    assert (await api.states())[1] == "down"
    assert "not reached by edge 2, 3, though edge 2 from outside" in await reasons(api, 1)
    await api.heartbeat(1)
    assert (await api.states())[1] == "up"


async def test_the_word_of_a_silent_peer_counts_no_more(api: Any) -> None:
    await three(api)
    await api.heartbeat(2, peers=[sees(1, True)])
    await api.pass_time(10.1)
    await api.pass_time(0.1)
    assert await api.states() == {1: "down", 2: "down", 3: "down"}


async def test_an_edge_cannot_confirm_itself(api: Any) -> None:
    await three(api)
    await api.heartbeat(1, peers=[sees(1, True)])
    await api.pass_time(10.1)
    assert (await api.states())[1] == "down"


async def test_an_edge_that_reports_down_is_down_even_if_peers_reach_it(api: Any) -> None:
    await three(api)
    await api.heartbeat(2, peers=[sees(1, True)])
    await api.heartbeat(1, health="down", reasons=["edge: nothing listens"])
    assert (await api.states())[1] == "down"


async def test_without_a_forwarding_probe_the_agents_answer_over_the_backbone_counts(api: Any) -> None:
    await three(api)
    for _ in range(3):
        await api.pass_time(4)
        await api.heartbeat(2, peers=[{"edge_id": 1, "backbone": True}])
    assert (await api.states())[1] == "up"
    await api.heartbeat(2, peers=[{"edge_id": 1, "backbone": True, "forwarding": False}])
    await api.pass_time(0.1)
    assert (await api.states())[1] == "down"


async def test_an_edge_that_talks_but_that_no_peer_reaches_is_degraded(api: Any) -> None:
    await three(api)
    await api.heartbeat(2, peers=[sees(1, False)])
    assert (await api.edge(1))["health"]["state"] == "up", "one peer's failure may be the peer's own"
    await api.heartbeat(3, peers=[sees(1, False)])
    assert (await api.edge(1))["health"]["state"] == "degraded"
    assert (await api.states())[1] == "up"


async def test_after_a_start_a_silent_edge_that_a_peer_reaches_stays(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await three(api)
    api.clock.seconds += 600
    async with restartable() as api:
        await api.pass_time(9.9)
        assert await api.states() == {1: "up", 2: "up", 3: "up"}
        await api.heartbeat(2, peers=[sees(1, True)])
        await api.pass_time(0.2)
        assert await api.states() == {1: "up", 2: "up", 3: "down"}


async def test_a_removed_edge_is_forgotten(api: Any) -> None:
    await three(api)
    await api.heartbeat(1, peers=[sees(2, True), sees(3, True)])
    await api.ask("DELETE", "/v1/edges/1")
    assert not api.plane.health.reachability.about(2)
    await api.pass_time(20)
    assert await api.states() == {2: "down", 3: "down"}


@pytest.mark.parametrize(
    "peers", [[{"edge_id": 0}], [{"edge_id": 1, "backbone": "yes"}], [{"edge_id": 1}] * 17]
)
async def test_reports_that_make_no_sense_are_refused(api: Any, peers: Any) -> None:
    await api.enrol(1)
    answer = await api.heartbeat(1, peers=peers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("peers")
