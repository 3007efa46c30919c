"""The agent hands purges to the edge as they come: in order, each once, the newest thousand; and says what is done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from balancer.agent.state import NodeState
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.agent.sync.purges import PURGES_KEPT, PurgeFollower
from balancer.api.client import ControlClient
from node.state.purges import Purge, read_purges, write_applied_purge


class Plane:
    """A control plane with purges 1 to `newest`; it answers a long poll once there is a newer one."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.oldest = 1
        self.asked: list[int] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        after = int(request.url.params["after"])
        self.asked.append(after)
        while self.newest <= after:
            await asyncio.sleep(0.005)
        first = max(after + 1, self.oldest)
        items = [
            {"id": number, "url": None, "tag": f"t{number}", "at": "2026-01-01T00:00:00Z"}
            for number in range(first, min(first + 599, self.newest) + 1)
        ]
        missed = after + 1 < self.oldest
        return httpx.Response(200, json={"items": items, "next": None, "missed": missed})


@asynccontextmanager
async def following(folder: Path, plane: Plane) -> AsyncIterator[tuple[NodeState, HeartbeatTrigger]]:
    state, changed = NodeState(folder), HeartbeatTrigger()
    async with ControlClient("http://127.0.0.1", "x", transport=httpx.MockTransport(plane.answer)) as client:
        task = asyncio.create_task(PurgeFollower(state, changed).follow(client))
        try:
            yield state, changed
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_purges_are_fetched_in_pages_up_to_the_newest_and_bounded(
    tmp_path: Path, wait_until: Any
) -> None:
    plane = Plane(600)
    async with following(tmp_path, plane) as (state, _):
        for newest in (600, PURGES_KEPT + 50):
            plane.newest = newest
            await wait_until(lambda newest=newest: state.purges() and state.purges()[-1].id == newest)
    kept = read_purges(tmp_path)
    assert [each.id for each in kept] == list(range(51, PURGES_KEPT + 51))
    assert kept[-1] == Purge(PURGES_KEPT + 50, tag=f"t{PURGES_KEPT + 50}", at=1767225600.0)


async def test_what_was_missed_is_everything(tmp_path: Path, wait_until: Any) -> None:
    plane = Plane(12)
    plane.oldest = 10
    async with following(tmp_path, plane) as (state, _):
        await wait_until(lambda: len(state.purges()) == 3)
    assert [(each.id, each.everything, each.tag) for each in read_purges(tmp_path)] == [
        (10, True, None),
        (11, False, "t11"),
        (12, False, "t12"),
    ]


async def test_a_heartbeat_follows_once_the_edge_has_applied_it(tmp_path: Path, wait_until: Any) -> None:
    plane = Plane(1)
    async with following(tmp_path, plane) as (state, changed):
        await wait_until(lambda: state.purges())
        heartbeat = asyncio.create_task(changed.wait(30))
        await asyncio.sleep(0.05)
        assert not heartbeat.done()
        write_applied_purge(tmp_path, 1)
        await asyncio.wait_for(heartbeat, 10)
        assert state.applied_purge() == 1
