"""Two instances move one rollout: what one has seen, passed or returned, the other never passes again or too early."""

import asyncio
import time
from typing import Any

import pytest
from rollout_fleet import PATH, STAGES, Fleet

from balancer.control.app import follow_instances, sweep_plane

pytestmark = pytest.mark.needs("postgresql")
DWELL = 30  # of STAGES
STEP = 5  # seconds of the turned clocks: more than heartbeats age on their way between the instances


@pytest.fixture
async def fleet(pair: tuple[Any, Any], turn: Any, document: Any) -> Fleet:
    """The edges ask the first instance, where revision 1 is active and revision 2 in the first stage of a rollout."""
    first, _ = pair
    made = Fleet(first)
    await made.enrol()
    await first.ask("POST", "/v1/services", {"name": "shop"})
    for number in (1, 2):
        body = document(hostnames=[f"{number}.example"])
        assert (await first.ask("POST", "/v1/services/shop/revisions", body)).status_code == 201
    await made.report()
    assert (await activate(first, 1)).status_code == 200
    assert (await activate(first, 2, rollout=STAGES)).status_code == 200
    await turn()
    return made


async def activate(api: Any, number: int, **more: Any) -> Any:
    return await api.ask("POST", "/v1/services/shop/activate", {"revision": number, **more})


async def steer(api: Any, action: str) -> Any:
    return await api.ask("POST", PATH, {"action": action})


async def pass_seconds(fleet: Fleet, pair: tuple[Any, Any], turn: Any, seconds: float) -> None:
    """Let time pass at both instances, with heartbeats."""
    for _ in range(int(seconds / STEP)):
        for api in pair:
            api.clock.seconds += STEP
        await fleet.report()
        await turn()
        for api in pair:
            await sweep_plane(api.plane)


async def test_a_stage_that_one_began_the_other_does_not_pass_by_the_health_of_the_stage_before(
    pair: tuple[Any, Any], turn: Any, fleet: Fleet
) -> None:
    first, second = pair
    await pass_seconds(fleet, pair, turn, STEP)
    assert (await steer(first, "advance")).json()["position"] == 1
    for _ in range(2):
        answer = await steer(second, "advance")  # it has read nothing of the new stage, and then that alone
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:sennit:problem:stage-not-well")
        await follow_instances(second.plane)
    assert await fleet.revisions() == [2, 2, 1]
    await pass_seconds(fleet, pair, turn, STEP)
    assert (await steer(second, "advance")).json()["state"] == "done"


async def test_a_stage_is_passed_once_by_the_one_that_leads(
    pair: tuple[Any, Any], turn: Any, fleet: Fleet
) -> None:
    await pass_seconds(fleet, pair, turn, DWELL - STEP)
    assert await fleet.revisions() == [2, 1, 1]
    await pass_seconds(fleet, pair, turn, 2 * STEP)
    assert await fleet.revisions() == [2, 2, 1]
    await pass_seconds(fleet, pair, turn, DWELL + 2 * STEP)
    assert await fleet.revisions() == [2, 2, 2]
    audit = (await pair[1].ask("GET", "/v1/audit?limit=100")).json()["items"]
    moves = [(entry["what"], entry["detail"]) for entry in reversed(audit) if "control plane" in entry["who"]]
    assert moves == [
        ("service.rollout", "revision 2, stage 1"),
        ("service.activate", "revision 1 -> 2"),
    ]


async def test_one_that_takes_over_has_seen_that_the_stage_was_not_well_meanwhile(
    pair: tuple[Any, Any], turn: Any, fleet: Fleet
) -> None:
    first, second = pair
    await pass_seconds(fleet, pair, turn, 2 * STEP)
    follower = second if first.plane.sharing.leads else first
    assert (await follower.ask("GET", PATH)).json()["health"] == "well"
    fleet.behind = {1}
    await pass_seconds(fleet, pair, turn, STEP)
    fleet.behind = set()
    await pass_seconds(fleet, pair, turn, STEP)
    leader = first if follower is second else second
    fleet.api = follower
    await leader.plane.sharing.close()
    await pass_seconds(fleet, (follower,), follower.plane.heartbeats.exchange_heartbeats, DWELL - 2 * STEP)
    assert follower.plane.sharing.leads
    assert await fleet.revisions() == [2, 1, 1]
    await pass_seconds(fleet, (follower,), follower.plane.heartbeats.exchange_heartbeats, 3 * STEP)
    assert await fleet.revisions() == [2, 2, 1]


async def test_the_same_revision_begun_again_waits_its_own_dwell_time(
    pair: tuple[Any, Any], turn: Any, fleet: Fleet
) -> None:
    _, second = pair
    await pass_seconds(fleet, pair, turn, DWELL - STEP)
    assert (await steer(second, "return")).json()["state"] == "returned"
    assert (await activate(second, 2, rollout=STAGES)).status_code == 200
    await turn()
    await pass_seconds(fleet, pair, turn, DWELL - STEP)
    assert await fleet.revisions() == [2, 1, 1]
    await pass_seconds(fleet, pair, turn, 3 * STEP)
    assert await fleet.revisions() == [2, 2, 1]


async def test_a_stage_that_falls_ill_while_its_passing_waits_for_the_database_goes_back(
    pair: tuple[Any, Any], turn: Any, fleet: Fleet
) -> None:
    first, second = pair
    await pass_seconds(fleet, pair, turn, DWELL)
    leader, other = (first, second) if first.plane.sharing.leads else (second, first)
    fleet.api = leader
    for api in pair:
        api.clock.seconds += STEP
    await turn()
    async with other.plane.store.change():  # every other change waits
        moving = asyncio.create_task(sweep_plane(leader.plane))
        deadline = time.monotonic() + 30
        while not leader.plane.store._writer.locked():
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        fleet.refusing = {1}
        await fleet.report()
    await asyncio.wait_for(moving, 30)
    found = (await leader.ask("GET", PATH)).json()
    assert (found["state"], found["position"]) == ("returned", 0)
