"""The database goes back to an earlier state: clients that hold later numbers follow the new ones."""

import asyncio
import base64
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from balancer.agent.state import NodeState
from balancer.agent.sync.freshness import FreshnessMonitor
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.agent.sync.purges import PurgeFollower
from balancer.agent.sync.table_follower import follow_table
from balancer.api.client import ControlClient
from balancer.api.numbers import (
    LARGEST_NUMBER,
    describe_number,
    epoch_after,
    epoch_of,
    next_number,
    parse_number,
)
from balancer.control.app import follow_instances, sweep_plane
from balancer.control.storage.backup import restore_backup, save_backup
from balancer.control.table.epoch import check_lost_generations
from balancer.model.signature import verify
from node.state.purges import Purge

NUMBERS = st.integers(0, LARGEST_NUMBER >> 1)


@given(NUMBERS, st.integers(1_700_000_000, 3_900_000_000))
def test_a_number_of_a_later_epoch_is_greater_than_any_before(number: int, seconds: int) -> None:
    epoch = epoch_after(number, seconds)
    assert epoch > epoch_of(number)
    assert number < next_number(number, epoch) < next_number(next_number(number, epoch), epoch)
    assert epoch_of(next_number(number, epoch)) == epoch


@given(NUMBERS)
def test_a_number_is_read_as_it_is_shown(number: int) -> None:
    assert parse_number(describe_number(number)) == number


@pytest.mark.parametrize("wrong", ["", "x", "-1", "1@", "1@x", "@3", "1@2@3"])
def test_a_number_that_makes_no_sense_is_refused(wrong: str) -> None:
    if wrong == "1@":
        assert parse_number(wrong) == 1
        return
    with pytest.raises(ValueError, match="not a number"):
        parse_number(wrong)


async def grow(api: Any, until: int) -> None:
    """Change the table until it has a generation."""
    weights = 0
    while (await api.table())["generation"] < until:
        weights += 1
        state = "draining" if weights % 2 else "active"
        assert (await api.ask("PATCH", "/v1/edges/1", {"admin_state": state})).status_code == 200


@contextlib.asynccontextmanager
async def agent_of(api: Any, folder: Path) -> AsyncIterator[NodeState]:
    """An agent's table follower, with the state that it keeps."""
    state = NodeState(folder)
    key = (await api.ask("GET", "/v1/table/key")).json()["key"]
    state.keep_table_key(base64.b64decode(key))
    transport = httpx.ASGITransport(api.http._transport.app)
    async with ControlClient("http://localhost", "credential-1", transport=transport) as client:
        following = asyncio.create_task(
            follow_table(client, state, 1, HeartbeatTrigger(), FreshnessMonitor(state), wait=1)
        )
        try:
            yield state
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("database", [None])
async def test_agents_follow_a_restored_control_plane(
    api: Any, open_in: Any, tmp_path: Path, database: None
) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    await grow(api, 11)
    await asyncio.to_thread(save_backup, tmp_path, tmp_path / "backup.tar.gz")
    await grow(api, 17)
    async with agent_of(api, tmp_path / "node") as state:
        await until(lambda: state.table_generation() == 17)
    for _ in range(3):
        await api.ask("POST", "/v1/purges", {"tag": "a"})
    state.keep_purges([Purge(3, None, "a", 0.0)])

    restore_backup(tmp_path / "backup.tar.gz", tmp_path / "restored")
    async with open_in(tmp_path / "restored") as restored:
        table = await restored.table()
        assert table["generation"] > 17
        signature = base64.b64decode(table.pop("signature"))
        verify(restored.plane.watch.live.public_key, table, signature)
        audit = (await restored.ask("GET", "/v1/audit?limit=1")).json()["items"][0]
        assert (audit["what"], audit["why"] or audit["detail"]) == ("table.epoch", "restored from a backup")

        await restored.enrol(2)
        await restored.heartbeat(2)
        async with agent_of(restored, tmp_path / "node") as state:
            await until(lambda: (table := state.table()) is not None and table.edge(2) is not None)
        newest = (await restored.table())["generation"]
        await restored.heartbeat(1, applied_generation=newest)
        grant = (await restored.heartbeat(2, applied_generation=newest)).json()
        assert grant["may_announce"] is True

        purge = (await restored.ask("POST", "/v1/purges", {"tag": "b"})).json()
        assert purge["id"] > 3
        transport = httpx.ASGITransport(restored.http._transport.app)
        async with ControlClient("http://localhost", "credential-1", transport=transport) as client:
            purges = PurgeFollower(state, HeartbeatTrigger())
            following = asyncio.create_task(purges.follow(client))
            await until(lambda: [each.tag for each in state.purges()] == ["a", "b"])
            following.cancel()
        before = (await restored.ask("POST", "/v1/fast-open-keys", {})).json()["id"]
        assert epoch_of(before) == epoch_of(newest)
    async with open_in(tmp_path / "restored") as again:
        assert (await again.table())["generation"] == newest, "one restore is one epoch"


@pytest.mark.parametrize("database", [None])
@pytest.mark.parametrize(
    ("applied", "recovers"),
    [
        ([17, 17, 11], True),
        ([17, 14, 13], True),
        ([17, 11, 11], False),
        ([None, None, 17], True),
        ([11, 11, 11], False),
        ([LARGEST_NUMBER] * 3, False),
    ],
)
async def test_a_database_that_went_back_unnoticed_is_noticed_by_what_most_forwarders_have(
    api: Any, open_in: Any, tmp_path: Path, database: None, applied: list[int | None], recovers: bool
) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
        await api.heartbeat(number)
    await grow(api, 11)
    (tmp_path / "old").mkdir()
    await asyncio.to_thread(save_backup, tmp_path, tmp_path / "backup.tar.gz")
    shutil.unpack_archive(tmp_path / "backup.tar.gz", tmp_path / "old")
    async with open_in(tmp_path / "old") as old:
        before = await old.table()
        assert before["generation"] == 11
        for number, generation in enumerate(applied, 1):
            await old.heartbeat(number, applied_generation=generation, announcing=True)
        acknowledged = (await old.ask("GET", "/v1/table/acknowledgements")).json()
        assert acknowledged["forwarders"] == applied.count(11), "beyond ours is unknown, not applied"
        await sweep_plane(old.plane)
        after = await old.table()
        assert (after["generation"] > 17) == recovers
        assert after["edges"] == before["edges"]
        audited = (await old.ask("GET", "/v1/audit?limit=100")).json()["items"]
        assert any(each["what"] == "table.epoch" for each in audited) == recovers
        for number in (1, 2, 3):
            await old.heartbeat(number, applied_generation=after["generation"], announcing=True)
        await sweep_plane(old.plane)
        assert (await old.table())["generation"] == after["generation"], "one loss is one epoch"


async def test_an_id_is_not_freed_while_a_forwarder_has_a_table_that_is_unknown_here(api: Any) -> None:
    await api.enrol(1)
    await api.enrol(2)
    await api.heartbeat(2, applied_generation=1000)
    await api.ask("DELETE", "/v1/edges/1")
    await api.plane.heartbeats.sweep_leases()
    oldest = api.plane.acknowledgements.oldest_applied(api.plane.watch.generation)
    assert oldest == 0


async def test_an_instance_notices_that_its_database_lost_generations(api: Any) -> None:
    await api.enrol(1)
    if not api.plane.store.shared:
        api.plane.publication.lost_generation = (
            17  # SQLite belongs to one process: nothing replaces it under way
        )
    else:
        await api.heartbeat(1)
        await grow(api, 8)
        async with api.plane.store.read() as session:
            await session.execute(text("DELETE FROM generation WHERE generation > 5"))
            await session.commit()
        await follow_instances(api.plane)
        assert (await api.table())["generation"] == 5
    await check_lost_generations(api.plane.store, api.plane.publication, api.plane.acknowledgements)
    assert epoch_of((await api.table())["generation"]) > 0
    assert api.plane.publication.lost_generation is None
