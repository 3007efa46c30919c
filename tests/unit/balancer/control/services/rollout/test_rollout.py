"""Rollouts through the API: stage by stage, held, returned by hand or by themselves."""

from typing import Any

import pytest
from rollout_fleet import STAGES, Fleet


@pytest.fixture
async def fleet(api: Any, add_service: Any, activate: Any) -> Fleet:
    """Revision 1 is active, and revision 2 in the first stage of a rollout."""
    made = Fleet(api)
    await made.enrol()
    assert (await activate("shop", await add_service())).status_code == 200
    await made.report()
    number = await add_service(hostnames=["b.example"])
    answer = await activate("shop", number, rollout=STAGES)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["active"], answer.json()["candidate"]) == (1, 2)
    return made


async def test_a_rollout_passes_its_stages_and_ends_at_all_edges(fleet: Fleet) -> None:
    assert await fleet.revisions() == [2, 1, 1]
    await fleet.pass_seconds(25)
    assert await fleet.revisions() == [2, 1, 1]
    await fleet.pass_seconds(15)
    assert await fleet.revisions() == [2, 2, 1]
    await fleet.pass_seconds(45)
    assert await fleet.revisions() == [2, 2, 2]
    assert (await fleet.rollout())["state"] == "done"
    shop = (await fleet.api.ask("GET", "/v1/services/shop")).json()
    assert (shop["active"], shop["candidate"], shop["hostnames"]) == (2, None, ["b.example"])


async def test_meanwhile_the_service_owns_the_hostnames_of_both_revisions(
    fleet: Fleet, add_service: Any, activate: Any
) -> None:
    for hostname in ("www.example.org", "b.example"):
        number = await add_service("blog", hostnames=[hostname])
        assert (await activate("blog", number)).status_code == 409
    await fleet.steer("return")
    assert (await activate("blog", number)).status_code == 200


async def test_an_edge_that_refuses_sends_it_back(fleet: Fleet) -> None:
    fleet.refusing = {1}
    await fleet.pass_seconds(5)
    assert await fleet.revisions() == [1, 1, 1]
    found = await fleet.rollout()
    assert (found["state"], found["why"]) == ("returned", "edge 1 refuses it: does not suit")
    audit = (await fleet.api.ask("GET", "/v1/audit?limit=1")).json()["items"][0]
    assert (audit["what"], audit["who"]) == ("service.rollout-return", "control plane")


async def test_an_edge_that_is_lost_with_the_candidate_sends_it_back(fleet: Fleet) -> None:
    await fleet.pass_seconds(10)
    fleet.silent = {1}
    await fleet.pass_seconds(20)
    assert (await fleet.rollout())["state"] == "returned"
    assert (await fleet.revisions())[1:] == [1, 1]


async def test_more_errors_than_elsewhere_send_it_back(fleet: Fleet) -> None:
    answer = await fleet.api.heartbeat(1)
    assert answer.json()["watched_services"] == ["shop"]
    fleet.counts = {1: {"requests": 100}, 2: {"requests": 100}, 3: {"requests": 100}}
    await fleet.pass_seconds(5)
    fleet.counts[1] = {"requests": 200, "server_errors": 30}
    await fleet.pass_seconds(5)
    found = await fleet.rollout()
    assert (found["state"], found["why"]) == (
        "returned",
        "30.0% of answers are 5xx, 0.0% without the candidate",
    )


async def test_no_stage_is_passed_that_has_not_applied_the_candidate(fleet: Fleet) -> None:
    for _ in range(20):
        await fleet.api.heartbeat(1, services={"generation": 1})
        await fleet.api.heartbeat(2)
        await fleet.api.pass_time(5)
    found = await fleet.rollout()
    assert (found["position"], found["health"]) == (0, "waiting")
    assert (await fleet.steer("advance")).status_code == 409


async def test_an_operator_steers_it(fleet: Fleet, activate: Any) -> None:
    await fleet.steer("pause")
    await fleet.pass_seconds(60)
    assert await fleet.revisions() == [2, 1, 1]
    assert (await fleet.rollout())["state"] == "paused"
    assert (await fleet.steer("advance")).json()["position"] == 1
    assert (await activate("shop", 2)).status_code == 409
    assert (await fleet.steer("resume")).json()["state"] == "running"
    assert (await fleet.steer("return")).json()["why"] == "by hand"
    assert await fleet.revisions() == [1, 1, 1]
    assert (await fleet.steer("pause")).status_code == 409


async def test_a_rollback_ends_it(fleet: Fleet) -> None:
    answer = await fleet.api.ask("POST", "/v1/services/shop/rollback", {})
    assert (answer.json()["active"], answer.json()["candidate"]) == (1, None)
    assert await fleet.revisions() == [1, 1, 1]


async def test_a_share_of_edges_is_always_the_same_and_grows(
    api: Any, add_service: Any, activate: Any
) -> None:
    from balancer.control.services.published.stage import Stage

    few, many = Stage(share=0.1), Stage(share=0.3)
    chosen = {edge for edge in range(1, 1001) if few.includes("shop", edge, "a")}
    more = {edge for edge in range(1, 1001) if many.includes("shop", edge, "a")}
    assert chosen < more
    assert 50 < len(chosen) < 200
    assert chosen != {edge for edge in range(1, 1001) if few.includes("blog", edge, "a")}


async def test_a_restart_goes_on_with_the_stage(restartable: Any, document: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        fleet = Fleet(api)
        await fleet.enrol()
        await api.ask("POST", "/v1/services", {"name": "shop"})
        await api.ask("POST", "/v1/services/shop/revisions", document())
        await api.ask("POST", "/v1/services/shop/activate", {"revision": 1, "rollout": STAGES})
        await fleet.pass_seconds(25)
        assert await fleet.revisions() == [1, None, None]
    async with restartable() as api:
        fleet.api = api
        assert await fleet.revisions() == [1, None, None]
        await fleet.pass_seconds(25)
        assert await fleet.revisions() == [1, None, None], "the dwell time begins anew"
        await fleet.pass_seconds(15)
        assert await fleet.revisions() == [1, 1, None]
