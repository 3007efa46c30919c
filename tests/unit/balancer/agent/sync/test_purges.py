"""The agent hands purges to the edge: in order, each once, the newest thousand."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from balancer.agent.state import NodeState
from balancer.agent.sync.purges import PURGES_KEPT, PurgeFollower
from balancer.api.client import ControlClient


async def test_purges_are_fetched_in_pages_up_to_the_newest_and_bounded(
    tmp_path: Path, wait_until: Any
) -> None:
    newest = PURGES_KEPT + 50

    async def answer(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params["after"])
        items = [
            {"id": number, "url": None, "tag": f"t{number}", "at": "2026-01-01T00:00:00Z"}
            for number in range(after + 1, min(after + 600, newest) + 1)
        ]
        return httpx.Response(200, json={"items": items, "next": None})

    purges, state = PurgeFollower(NodeState(tmp_path)), NodeState(tmp_path)
    async with ControlClient("http://127.0.0.1", "x", transport=httpx.MockTransport(answer)) as client:
        task = asyncio.create_task(purges.follow(client))
        for reported in (600, newest):
            purges.report_newest(reported)
            await wait_until(lambda reported=reported: state.purges() and state.purges()[-1].id >= reported)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    kept = json.loads((tmp_path / "agent" / "purges.json").read_text())["purges"]
    assert [each["id"] for each in kept] == list(range(newest - PURGES_KEPT + 1, newest + 1))
    assert kept[-1] == {"id": newest, "url": None, "tag": f"t{newest}", "at": 1767225600.0}
