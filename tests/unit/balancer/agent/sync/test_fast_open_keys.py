"""The agent hands the fleet's Fast Open keys to the edge, from a real control plane."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from balancer.agent.daemon import Agent
from balancer.agent.settings import AgentSettings
from balancer.agent.state import NodeState
from balancer.agent.sync.fast_open_keys import FastOpenKeyFollower
from balancer.api.client import ControlClient
from node.state.catalogue import FAST_OPEN_KEYS


async def test_a_rotation_reaches_the_edges_file_newest_key_first(
    control: Any, tmp_path: Path, wait_until: Any
) -> None:
    settings = AgentSettings(
        state=tmp_path / "node",
        control=control.url,
        name="edge1",
        tunnel_v4="10.255.0.1",
        enrolment_token_file=tmp_path / "token",
        peer_port=0,
        _cli_parse_args=[],
    )
    file = FAST_OPEN_KEYS.path_in(tmp_path / "node")
    task = asyncio.create_task(Agent(settings).run())
    try:
        async with control.admin() as admin:
            for count in (1, 2):
                await admin.rotate_fast_open_keys()
                wanted = [each.key for each in (await admin.fast_open_keys()).items]
                assert len(wanted) == count
                await wait_until(lambda wanted=wanted: file.exists() and file.read_text().split() == wanted)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert file.stat().st_mode & 0o777 == 0o640


async def test_keys_are_asked_for_until_they_come_and_none_leaves_what_is_there(
    tmp_path: Path, wait_until: Any
) -> None:
    state = NodeState(tmp_path)
    state.keep_fast_open_keys(["00" * 16])
    answers = [
        httpx.Response(503),
        httpx.Response(200, json={"items": []}),
        httpx.Response(200, json={"items": [{"id": 7, "at": "2026-01-01T00:00:00Z", "key": "ff" * 16}]}),
    ]
    asked, seen = iter(answers), []

    async def answer(_: httpx.Request) -> httpx.Response:
        seen.append(FAST_OPEN_KEYS.path_in(tmp_path).read_text())
        return next(asked)

    keyring = FastOpenKeyFollower(state)
    async with ControlClient("http://127.0.0.1", "x", transport=httpx.MockTransport(answer)) as client:
        task = asyncio.create_task(keyring.follow(client))
        keyring.report_newest(6)
        await wait_until(lambda: len(seen) == 2)
        keyring.report_newest(7)
        await wait_until(lambda: FAST_OPEN_KEYS.path_in(tmp_path).read_text() == "ff" * 16 + "\n")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen == ["00" * 16 + "\n"] * 3
