"""The agent against a real control plane on loopback."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from balancer.agent.daemon import Agent
from balancer.agent.enrolment import NotEnrolled
from balancer.agent.settings import AgentSettings
from balancer.agent.state import NodeState
from balancer.agent.sync.lease import EdgeRemoved
from balancer.api.purges import PurgeRequest
from balancer.control.storage.database import SIGNING_KEY
from balancer.model.signature import sign
from balancer.model.table_file import store_table
from node.state.catalogue import CREDENTIAL
from node.state.desired_state import AdminState
from node.state.forwarder import write_applied_generation
from node.state.purges import write_applied_purge


def settings(control: Any, folder: Path, *more: str) -> AgentSettings:
    flags = ["--state", str(folder / "node"), "--control", control.url, "--name", "edge1", "--site", "a"]
    token = ["--enrolment-token-file", str(folder / "token"), "--probe-seconds", "0.1"]
    token += ["--no-vip-check", "--peer-port", "0"]
    return AgentSettings.from_arguments([*flags, "--tunnel-v4", "10.255.0.1", *token, *more])


@contextlib.asynccontextmanager
async def running(chosen: AgentSettings) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(Agent(chosen).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def read(folder: Path, name: str) -> Any:
    path = next((folder / "node").glob(f"*/{name}"), None)
    return json.loads(path.read_text()) if path else None


def state_in_table(folder: Path) -> str | None:
    table = read(folder, "table.json")
    return table["edges"][0]["state"] if table and table["edges"] else None


async def test_a_node_enrols_and_its_edge_comes_up_and_goes_down(
    control: Any, tmp_path: Path, wait_until: Any, edge_answers: Any
) -> None:
    async with running(settings(control, tmp_path)):
        await wait_until(lambda: state_in_table(tmp_path) == "down")
        assert read(tmp_path, "node.json")["edge_id"] == 1
        assert (tmp_path / "node" / "agent" / "credential.json").stat().st_mode & 0o777 == 0o600
        async with edge_answers(tmp_path / "node" / "edge" / "edge.sock", "ok"):
            await wait_until(lambda: state_in_table(tmp_path) == "up")
        await wait_until(lambda: state_in_table(tmp_path) == "down")


async def test_what_the_operator_wants_is_known_before_the_next_heartbeat_is_due(
    control: Any, tmp_path: Path, wait_until: Any, edge_answers: Any
) -> None:
    await control.stop()
    control.lease_seconds = 600.0
    await control.start()
    async with (
        running(settings(control, tmp_path)),
        edge_answers(tmp_path / "node" / "edge" / "edge.sock", "ok"),
        control.admin() as client,
    ):
        await wait_until(lambda: state_in_table(tmp_path) == "up")
        await client.set_admin_state(1, AdminState.DRAINING)
        await wait_until(lambda: (read(tmp_path, "agent.json") or {}).get("admin_state") == "draining")


async def test_the_applied_generation_is_reported(control: Any, tmp_path: Path, wait_until: Any) -> None:
    async def reported() -> bool:
        async with control.admin() as client:
            edges = await client.edges()
        return bool(edges and edges[0].lease and edges[0].lease.applied_generation == 5)

    async with running(settings(control, tmp_path)):
        write_applied_generation(tmp_path / "node", 5)
        await wait_until(reported)


async def test_a_node_enrols_once(control: Any, tmp_path: Path, wait_until: Any) -> None:
    async with running(settings(control, tmp_path)):
        await wait_until(lambda: read(tmp_path, "table.json"))
    before = read(tmp_path, "credential.json")
    (tmp_path / "token").unlink()
    (tmp_path / "node" / "agent" / "table.json").unlink()
    async with running(settings(control, tmp_path)):
        await wait_until(lambda: read(tmp_path, "table.json"))
    assert read(tmp_path, "credential.json") == before


async def test_an_agent_outlives_the_control_plane(
    control: Any, tmp_path: Path, wait_until: Any, edge_answers: Any
) -> None:
    async with (
        running(settings(control, tmp_path)) as agent,
        edge_answers(tmp_path / "node" / "edge" / "edge.sock", "ok"),
    ):
        await wait_until(lambda: state_in_table(tmp_path) == "up")
        await control.stop()
        await control.start()

        async def heard() -> bool:
            async with control.admin() as client:
                return (await client.edges())[0].lease is not None

        await wait_until(heard)
        assert state_in_table(tmp_path) == "up"
        assert not agent.done()


async def test_an_older_table_is_ignored(control: Any, tmp_path: Path, wait_until: Any, caplog: Any) -> None:
    async with running(settings(control, tmp_path)):
        await wait_until(lambda: read(tmp_path, "table.json"))
    key = load_pem_private_key((control.folder / SIGNING_KEY).read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    newer = {"generation": 900, "vips": [], "edges": []}
    store_table(tmp_path / "node", newer, sign(key, newer))
    async with running(settings(control, tmp_path)):
        await wait_until(lambda: "older table ignored" in caplog.text)
        assert read(tmp_path, "table.json")["generation"] == 900


async def test_a_refused_token_and_a_removed_edge_end_the_agent(
    control: Any, tmp_path: Path, wait_until: Any
) -> None:
    async with running(settings(control, tmp_path)) as agent:
        await wait_until(lambda: read(tmp_path, "table.json"))
        async with control.admin() as client:
            await client.remove_edge(1)
        with pytest.raises(EdgeRemoved):
            await asyncio.wait_for(agent, 10)
    (tmp_path / "node" / "agent" / "credential.json").unlink()
    with pytest.raises(NotEnrolled, match="was used"):
        await asyncio.wait_for(Agent(settings(control, tmp_path)).run(), 10)


async def test_a_damaged_credential_is_not_replaced(control: Any, tmp_path: Path) -> None:
    chosen = settings(control, tmp_path)
    agent = Agent(chosen)
    CREDENTIAL.write_text(tmp_path / "node", "{")
    with pytest.raises(NotEnrolled, match=r"credential\.json"):
        await agent.run()


async def test_a_purge_is_pushed_and_answered_long_before_the_next_heartbeat_is_due(
    control: Any, tmp_path: Path, wait_until: Any, edge_answers: Any
) -> None:
    await control.stop()
    control.lease_seconds = 600.0
    await control.start()
    node = tmp_path / "node"
    async with (
        running(settings(control, tmp_path)),
        edge_answers(node / "edge" / "edge.sock", "ok"),
        control.admin() as client,
    ):
        await wait_until(lambda: state_in_table(tmp_path) == "up")
        for number in (1, 2):
            made = await client.purge(PurgeRequest(host="cdn.example"))
            assert made.id == number
            await wait_until(
                lambda number=number: [each.id for each in NodeState(node).purges()][-1:] == [number]
            )
            assert (await client.purge_progress(number)).done == 0  # the edge has not said so
            write_applied_purge(node, number)  # as the edge does
            async with asyncio.timeout(20):
                while not (await client.purge_progress(number, wait=5)).edges:
                    await asyncio.sleep(0.02)
            progress = await client.purge_progress(number, wait=20)
            assert (progress.edges, progress.done, progress.waiting) == (1, 1, [])
