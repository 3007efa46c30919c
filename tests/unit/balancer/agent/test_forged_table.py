"""A table that the control plane did not sign is refused by the agent: nothing of it is stored."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from balancer.agent.state import NodeState
from balancer.agent.sync.freshness import FreshnessMonitor
from balancer.agent.sync.lease import HeartbeatTrigger
from balancer.agent.sync.table_follower import follow_table
from balancer.api.client import ControlClient
from balancer.model.signature import Ed25519PrivateKey, sign
from balancer.model.table import ForwardingTable, TableEdge

KEY, FORGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
TABLE = ForwardingTable(7, (), (TableEdge(1, "edge1", "10.255.0.1", None),))
FORGED = ForwardingTable(8, (), (TableEdge(1, "edge1", "192.0.2.66", None),))


def body(table: ForwardingTable, signature: bytes) -> dict[str, Any]:
    return table.to_json() | {"signature": base64.b64encode(signature).decode()}


def delta(table: ForwardingTable, since: int, signature: bytes) -> dict[str, Any]:
    return body(table, signature) | {"since": since, "removed": []}


async def follow(
    folder: Path, answers: list[Any], *, key: bool = True
) -> tuple[NodeState, list[httpx.Request]]:
    """Follow a control plane that gives these answers, until it is asked once more."""
    asked: list[httpx.Request] = []
    done = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) > len(answers):
            done.set()
            await asyncio.Event().wait()
        return httpx.Response(200, json=answers[len(asked) - 1])

    state = NodeState(folder)
    if key:
        state.keep_table_key(KEY.public_key().public_bytes_raw())
    async with ControlClient("http://127.0.0.1", "x", transport=httpx.MockTransport(answer)) as client:
        task = asyncio.create_task(
            follow_table(client, state, 1, HeartbeatTrigger(), FreshnessMonitor(state))
        )
        await asyncio.wait_for(done.wait(), 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return state, asked


FORGERIES = {
    "unsigned": {**FORGED.to_json()},
    "signed by another": body(FORGED, sign(FORGER, FORGED.to_json())),
    "with the signature of another table": body(FORGED, sign(KEY, TABLE.to_json())),
    "a delta signed by another": delta(FORGED, 7, sign(FORGER, FORGED.to_json())),
    "a delta to another table": delta(FORGED, 3, sign(KEY, FORGED.to_json())),
    "no table": {"signature": "AAAA"},
    "nonsense": [],
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
async def test_a_forged_table_is_refused_and_the_last_good_one_stays(tmp_path: Path, forged: Any) -> None:
    state, asked = await follow(tmp_path, [body(TABLE, sign(KEY, TABLE.to_json())), forged])
    assert state.table() == TABLE
    assert state.table_json() == TABLE.to_json()
    assert "since=7" in str(asked[1].url)
    assert "since" not in str(asked[2].url), "afterwards the whole is asked for"


async def test_a_good_delta_is_put_together_and_stored(tmp_path: Path) -> None:
    newer = ForwardingTable(8, (), (*TABLE.edges, TableEdge(2, "edge2", "10.255.0.2", None)))
    change = delta(ForwardingTable(8, (), newer.edges[1:]), 7, sign(KEY, newer.to_json()))
    state, _ = await follow(tmp_path, [body(TABLE, sign(KEY, TABLE.to_json())), change])
    assert state.table() == newer


async def test_without_the_key_no_table_is_believed(tmp_path: Path) -> None:
    state, _ = await follow(tmp_path, [body(TABLE, sign(KEY, TABLE.to_json()))], key=False)
    assert state.table() is None


def test_the_key_of_the_first_enrolment_stays(tmp_path: Path) -> None:
    state = NodeState(tmp_path)
    state.keep_table_key(KEY.public_key().public_bytes_raw())
    with pytest.raises(ValueError, match=r"table\.key"):
        state.keep_table_key(FORGER.public_key().public_bytes_raw())
    assert state.table_keys() == (KEY.public_key().public_bytes_raw(),)
