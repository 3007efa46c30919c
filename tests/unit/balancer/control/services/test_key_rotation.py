"""The key that signs tables is rotated under an agent that follows, and under one that is away."""

import asyncio
import base64
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from balancer.agent.state import NodeState
from balancer.agent.sync.freshness import FreshnessMonitor
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.agent.sync.service_follower import ServiceSync
from balancer.agent.sync.table_follower import follow_table
from balancer.api.services_client import ServicesClient
from balancer.control.storage.backup import restore_backup, save_backup
from balancer.control.storage.database import NEXT_SIGNING_KEY, SIGNING_KEY
from balancer.model.signature import Forged
from balancer.model.timestamp import HEADER, Timestamp

START = 1_767_225_600.0  # of the control plane's clock
ROTATION = "/v1/table/key/rotation"
SIGNED = {"signed_urls": {"issuers": ["https://shop.example"], "keys": ["url-key"]}}


@pytest.fixture(autouse=True)
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's wall clock shows what the control plane's shows."""
    clocks = SimpleNamespace(time=lambda: START, monotonic=time.monotonic)
    monkeypatch.setattr("balancer.agent.sync.freshness.time", clocks)


@contextlib.asynccontextmanager
async def node_of(api: Any, folder: Path) -> AsyncIterator[NodeState]:
    """An enrolled node's followers of table and services."""
    state = NodeState(folder)
    if not (folder / "agent").exists():
        state.keep_table_key(base64.b64decode((await api.ask("GET", "/v1/table/key")).json()["key"]))
    transport = httpx.ASGITransport(api.http._transport.app)
    services = ServiceSync(state.services, state.verify_services, state.keep_services, state.has_services)
    async with ServicesClient("http://localhost", "credential-1", transport=transport) as client:
        tasks = [
            asyncio.create_task(
                follow_table(client, state, 1, HeartbeatTrigger(), FreshnessMonitor(state), wait=0.5)
            ),
            asyncio.create_task(services.follow(client, wait=0.5)),
        ]
        try:
            yield state
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Any) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def take(api: Any, action: str, status: int = 200, **more: Any) -> Any:
    answer = await api.ask("POST", ROTATION, {"action": action, **more})
    assert answer.status_code == status, answer.text
    api.clock.seconds += 1  # timestamps differ by a second at least
    return answer.json()


async def newest(api: Any) -> int:
    return int((await api.table())["generation"])


async def test_a_node_follows_a_rotation_and_refuses_what_the_old_key_signed(
    api: Any, tmp_path: Path, add_service: Any, activate: Any
) -> None:
    await api.enrol(1)
    number = await add_service(access=SIGNED)
    await api.ask("PUT", "/v1/services/shop/secrets/url-key", {"value": "a secret"})
    await activate("shop", number)
    async with node_of(api, tmp_path / "node") as state:
        await until(lambda: state.has_services() and state.table_generation())
        old, (first,) = await api.table(), state.table_keys()
        old_timestamp = (await api.ask("GET", "/v1/table")).headers[HEADER]
        await take(api, "begin")
        second = bytes.fromhex((await api.ask("GET", ROTATION)).json()["next"])
        await until(lambda: state.table_keys() == (first, second))
        await api.heartbeat(1, table_keys=state.key_fingerprints())
        assert (await api.ask("GET", ROTATION)).json()["ready"] == 1
        await take(api, "finish")
        await until(lambda: state.table_keys() == (second,))
        assert state.table_generation() == await newest(api)
        assert state.services().services[0].secrets == {"url-key": "a secret"}
        # an attacker in between repeats what the old key signed: it is no table any more
        state.keep_table(
            {k: v for k, v in old.items() if k != "signature"}, base64.b64decode(old["signature"])
        )
        assert state.table_json() is None
        with pytest.raises(Forged):
            Timestamp.open(old_timestamp, state.table_keys())
    audit = (await api.ask("GET", "/v1/audit?limit=3")).json()["items"]
    assert [each["what"] for each in audit] == ["table-key.finish", "table-key.begin", "service.activate"]


async def test_where_nothing_was_ever_published_a_new_key_signs_that_anew(
    api: Any, tmp_path: Path, add_service: Any, activate: Any
) -> None:
    """Edges serve every name by their default service until a first one is published."""
    await api.enrol(1)
    async with node_of(api, tmp_path / "node") as state:
        for action in ("begin", "finish", "begin", "finish"):
            await until(lambda: state.table_generation() and state.has_services())
            await take(api, action, force=True)
        key = bytes.fromhex((await api.ask("GET", ROTATION)).json()["current"])
        await until(lambda: state.table_keys() == (key,))
        assert state.is_signed_with(key)
        assert state.services().is_initial
        await activate("shop", await add_service())
        await until(lambda: [one.name for one in state.services().services] == ["shop"])


async def test_a_node_that_was_away_for_two_rotations_comes_back(api: Any, tmp_path: Path) -> None:
    await api.enrol(1)
    async with node_of(api, tmp_path / "node") as state:
        await until(lambda: state.table_generation() and state.has_services())
        keys = state.table_keys()
    for _ in range(2):
        await take(api, "begin")
        await take(api, "finish")
    assert state.table_keys() == keys
    async with node_of(api, tmp_path / "node") as state:
        await until(lambda: state.table_generation() == published_generation(api))
        await until(lambda: len(state.table_keys()) == 1 and state.table_keys() != keys)


def published_generation(api: Any) -> int:
    return int(api.plane.watch.generation)


async def test_after_a_theft_nodes_keep_their_table_until_they_are_given_the_key(
    api: Any, tmp_path: Path
) -> None:
    await api.enrol(1)
    await take(api, "begin")
    async with node_of(api, tmp_path / "node") as state:
        await until(lambda: state.table_generation() and state.has_services())
        kept, keys = state.table(), state.table_keys()
        await take(api, "replace", reason="stolen")
        await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
        answer = (await api.ask("GET", "/v1/table/key")).json()
        assert (answer["links"], answer["next"]) == ([], None), "nothing leads from the stolen key to another"
        assert (state.table(), state.table_keys()[0]) == (kept, keys[0])
    shutil.rmtree(tmp_path / "node")  # enrolled again
    async with node_of(api, tmp_path / "node") as state:
        await until(lambda: state.table_generation() == published_generation(api))


async def test_the_end_waits_for_nodes_that_do_not_know_the_next_key(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    await take(api, "finish", 409)
    await take(api, "cancel", 409)
    await take(api, "begin")
    await take(api, "begin", 409)
    refused = await take(api, "finish", 409)
    assert "1" in refused["detail"]
    await take(api, "cancel")
    assert (await api.ask("GET", ROTATION)).json()["next"] is None
    await take(api, "begin")
    await take(api, "finish", force=True)


@pytest.mark.parametrize("database", [None])
@pytest.mark.parametrize("killed", ["before the end is stored", "after it is stored"])
async def test_a_kill_in_the_middle_leaves_one_key_in_use(
    open_in: Any, tmp_path: Path, killed: str, database: None
) -> None:
    at, before = tmp_path / "control", tmp_path / "before"
    async with open_in(at) as api:
        await api.ask("POST", "/v1/vips", {"name": "main", "v4": "203.0.113.1"})
        await api.enrol(1)
        await take(api, "begin")
        following = (await api.ask("GET", ROTATION)).json()["next"]
    shutil.copytree(at, before)
    async with open_in(at) as api:
        await take(api, "finish")
        generation = await newest(api)
    for name in (SIGNING_KEY, NEXT_SIGNING_KEY):  # the files as they were before they were moved
        shutil.copy(before / name, at / name)
    if killed == "before the end is stored":
        at = before
    async with open_in(at) as api:
        shown = (await api.ask("GET", ROTATION)).json()
        if at == before:
            assert shown["next"] == following
            await take(api, "finish")
            shown = (await api.ask("GET", ROTATION)).json()
        assert (shown["current"], shown["next"]) == (following, None)
        assert await newest(api) == generation
        assert not (at / NEXT_SIGNING_KEY).exists()


@pytest.mark.parametrize("database", [None])
async def test_a_backup_of_during_a_rotation_can_still_end_it(
    open_in: Any, tmp_path: Path, database: None
) -> None:
    async with open_in(tmp_path / "control") as api:
        await api.ask("POST", "/v1/vips", {"name": "main", "v4": "203.0.113.1"})
        await take(api, "begin")
        following = (await api.ask("GET", ROTATION)).json()["next"]
        await asyncio.to_thread(save_backup, tmp_path / "control", tmp_path / "backup.tar.gz")
    restore_backup(tmp_path / "backup.tar.gz", tmp_path / "restored")
    async with open_in(tmp_path / "restored") as api:
        assert (await take(api, "finish"))["current"] == following


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.needs("postgresql")
async def test_another_instance_signs_with_the_new_key_once_it_has_it(
    api: Any, open_on: Any, tmp_path: Path, database: str
) -> None:
    from balancer.control.app import follow_instances

    shutil.copytree(tmp_path, tmp_path / "second", ignore=shutil.ignore_patterns("second", "*.lock"))
    async with open_on(tmp_path / "second", database) as second:
        await take(api, "begin")
        await take(api, "finish")
        await follow_instances(second.plane)
        assert (await second.ask("GET", "/v1/table")).status_code == 503, "it signs nothing with the old key"
        shutil.copy(tmp_path / SIGNING_KEY, tmp_path / "second" / NEXT_SIGNING_KEY)
        await follow_instances(second.plane)
        tables = [(await each.table())["signature"] for each in (api, second)]
        assert tables[0] == tables[1]


async def test_what_is_withheld_becomes_visible_by_time(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.enrol(1)
    now = 100.0
    clocks = SimpleNamespace(time=lambda: START + now - 100.0, monotonic=lambda: now)
    monkeypatch.setattr("balancer.agent.sync.freshness.time", clocks)
    state = NodeState(tmp_path / "node")
    state.keep_table_key(base64.b64decode((await api.ask("GET", "/v1/table/key")).json()["key"]))
    table = await api.table()
    state.keep_table(table, base64.b64decode(table.pop("signature")))
    freshness = FreshnessMonitor(state)
    genuine = (await api.ask("GET", "/v1/table")).headers[HEADER]
    freshness.note_answer(genuine)
    assert freshness.find_faults(0) == ()
    api.clock.seconds += 1
    now += 1
    await api.enrol(2)
    freshness.note_answer((await api.ask("GET", "/v1/table")).headers[HEADER])
    assert freshness.find_faults(0) == (), "another poll is under way"
    now += 31
    (fault,) = freshness.find_faults(0)
    assert fault.startswith("table:")
    assert "withheld" in fault
    now += 300
    freshness.note_answer(genuine)  # "nothing is new", again and again
    (fault,) = freshness.find_faults(0)
    assert "no signed timestamp" in fault
    again = FreshnessMonitor(state)
    assert again.newest is not None, "what was heard before a restart is not forgotten"
