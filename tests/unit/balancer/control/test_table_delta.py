"""Deltas and signatures: a table put together from what changed is the whole one, to the byte that is signed."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.control.table.changes import Change, key_of
from balancer.control.table.live import KEPT_GENERATIONS, LiveTable
from balancer.control.table.signing_key import SigningKeys
from balancer.model.delta import merge
from balancer.model.signature import Ed25519PrivateKey, Forged, sign, verify
from balancer.model.table import EdgeState, ForwardingTable, Member, Site, TableEdge

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
STEPS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from([None, *EdgeState])), min_size=1, max_size=30)


def edge(number: int, state: EdgeState) -> TableEdge:
    return TableEdge(number, f"edge{number}", f"10.255.0.{number}", None, state)


def site(number: int, state: EdgeState) -> Site:
    """A ring that is another with each state."""
    return Site(f"site{number}", (Member(number, len(state)),), (Member(number),))


def walk(live: LiveTable, steps: list[tuple[int, EdgeState | None]]) -> list[ForwardingTable]:
    tables = [live.table()]
    for number, state in steps:
        for make in (edge, site):
            key = key_of(make(number, EdgeState.UP))
            before, after = live.entries.get(key), make(number, state) if state else None
            if before != after:
                live.advance(live.generation + 1, [Change(*key, before, after)])
                tables.append(live.table())
    return tables


@given(STEPS)
def test_a_delta_since_any_generation_leads_to_the_newest_table(steps: Any) -> None:
    live = LiveTable(SigningKeys.of(KEY))
    tables = walk(live, steps)
    for older in tables[:-1]:
        value = json.loads(live.body(older.generation))
        assert ("since" in value) or older.generation == 0
        newest = merge(older.to_json(), value) if "since" in value else value
        assert ForwardingTable.from_json(newest) == tables[-1]
        verify(PUBLIC, newest, base64.b64decode(value["signature"]))


@given(STEPS)
def test_the_signature_of_the_lines_is_that_of_the_value(steps: Any) -> None:
    live = LiveTable(SigningKeys.of(KEY))
    walk(live, steps)
    value = json.loads(live.body())
    assert base64.b64decode(value["signature"]) == sign(KEY, live.table().to_json())


def test_nothing_of_a_table_can_be_changed_under_its_signature() -> None:
    table = ForwardingTable(7, (), (edge(1, EdgeState.UP), edge(2, EdgeState.DOWN)))
    signature = sign(KEY, table.to_json())
    verify(PUBLIC, table.to_json(), signature)
    ring = Site("a", (Member(1), Member(2)))
    forged = [
        ForwardingTable(7, (), table.edges, (ring,)),
        ForwardingTable(8, (), table.edges),
        ForwardingTable(7, (), table.edges[:1]),
        ForwardingTable(7, (), (edge(1, EdgeState.UP), edge(2, EdgeState.UP))),
        ForwardingTable(7, (), (TableEdge(1, "edge1", "192.0.2.66", None), table.edges[1])),
    ]
    for each in forged:
        with pytest.raises(Forged):
            verify(PUBLIC, each.to_json(), signature)
    for wrong in (b"", signature[:-1], Ed25519PrivateKey.generate().sign(b"")):
        with pytest.raises(Forged):
            verify(PUBLIC, table.to_json(), wrong)


def test_a_ring_cannot_be_taken_out_or_changed_under_the_signature() -> None:
    ring = Site("a", (Member(1), Member(2)))
    table = ForwardingTable(7, (), (edge(1, EdgeState.UP), edge(2, EdgeState.UP)), (ring,))
    signature = sign(KEY, table.to_json())
    verify(PUBLIC, table.to_json(), signature)
    for sites in ((), (Site("a", (Member(1), Member(2, 0))),), (ring, Site("b", (Member(3),)))):
        with pytest.raises(Forged):
            verify(PUBLIC, ForwardingTable(7, (), table.edges, sites).to_json(), signature)


def test_a_delta_for_another_table_is_refused() -> None:
    live = LiveTable(SigningKeys.of(KEY))
    tables = walk(live, [(1, EdgeState.UP), (2, EdgeState.UP), (1, EdgeState.DOWN)])
    delta = json.loads(live.body(2))
    for wrong in (tables[1].to_json(), {}):
        with pytest.raises(ValueError, match=r"since|difference"):
            merge(wrong, delta)


def test_a_field_that_the_reader_does_not_know_yet_is_under_the_signature_too() -> None:
    table = ForwardingTable(7, (), (edge(1, EdgeState.UP),)).to_json()
    table["edges"][0]["colour"] = "red"
    signature = sign(KEY, table)
    verify(PUBLIC, json.loads(json.dumps(table)), signature)
    table["edges"][0]["colour"] = "blue"
    with pytest.raises(Forged):
        verify(PUBLIC, table, signature)


def test_what_is_remembered_is_bounded_and_then_the_whole_is_sent() -> None:
    live = LiveTable(SigningKeys.of(KEY))
    walk(live, [(1, EdgeState.UP), *[(1, EdgeState.DOWN), (1, EdgeState.UP)] * KEPT_GENERATIONS])
    assert "since" not in json.loads(live.body(3))
    assert "since" in json.loads(live.body(live.generation - KEPT_GENERATIONS))
    assert "since" not in json.loads(live.body(live.generation + 5))


def test_an_entry_knows_where_it_belongs() -> None:
    assert key_of(edge(12, EdgeState.UP)) == ("edge", "12")


async def test_the_api_answers_with_what_changed_since(api: Any) -> None:
    await api.enrol(1)
    await api.enrol(2)
    before = await api.table()
    await api.heartbeat(2)
    answer = (await api.ask("GET", f"/v1/table?since={before['generation']}")).json()
    assert ([each["id"] for each in answer["edges"]], answer["removed"]) == ([2], [])
    await api.ask("DELETE", "/v1/edges/1")
    answer = (await api.ask("GET", f"/v1/table?since={before['generation']}")).json()
    assert ([each["id"] for each in answer["edges"]], answer["removed"]) == ([2], [1])


async def test_the_key_is_given_at_enrolment_and_survives_a_restart(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        key = (await api.enrol(1)).json()["table_key"]
    async with restartable() as api:
        assert (await api.ask("GET", "/v1/table/key")).json()["key"] == key
        table = await api.table()
        verify(base64.b64decode(key), table, base64.b64decode(table["signature"]))


async def test_a_lost_signing_key_is_not_replaced_in_silence(
    restartable: Any, vip: Any, tmp_path: Any
) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
    (tmp_path / "table-signing.key").unlink()
    with pytest.raises(Exception, match="table-signing"):
        async with restartable():
            pass
