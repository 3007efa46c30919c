"""Two instances on one PostgreSQL: what one does the other knows, and when one is killed nothing is lost."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_process import ADMIN, ControlProcess
from cryptography.hazmat.primitives import serialization

from balancer.api.client import ControlClient, Unreachable
from balancer.control.table.signing_key import NoSigningKey
from balancer.model.signature import verify

pytestmark = pytest.mark.needs("postgresql")
HEADERS = {"Authorization": f"Bearer {ADMIN}"}
EDGES = 40


@dataclass
class Instance(ControlProcess):
    """An instance, and a connection to it."""

    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=15)


@pytest.fixture
async def two(tmp_path: Path, cluster: Any) -> AsyncIterator[tuple[Instance, Instance]]:
    database = cluster.database()
    first = Instance(tmp_path / "a", database=database, lease_seconds=120)
    second = Instance(tmp_path / "b", database=database, lease_seconds=120)
    try:
        await first.start()
        second.copy_key(first)
        await second.start()
        vip = {"name": "main", "v4": "203.0.113.1"}
        assert (await first.http.post("/v1/vips", json=vip, headers=HEADERS)).status_code == 201
        yield first, second
    finally:
        for each in (first, second):
            await each.kill()
            await each.http.aclose()


class Edge:
    """An edge that asks whichever instance answers."""

    def __init__(self, number: int, instances: tuple[Instance, Instance]) -> None:
        self.number = number
        self.instances = instances if number % 2 else instances[::-1]
        self.id: int | None = None
        self.acknowledged: list[int] = []

    async def _ask(self, method: str, path: str, token: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        async with asyncio.timeout(60):
            while True:
                for instance in self.instances:
                    with contextlib.suppress(httpx.HTTPError):
                        answer = await instance.http.request(method, path, json=body, headers=headers)
                        if answer.status_code < 500:
                            return answer
                await asyncio.sleep(0.05)

    async def live(self, token: str, beats: int) -> None:
        credential = f"credential-{self.number}"
        body = {
            "name": f"edge{self.number}",
            "site": "a",
            "tunnel_v4": f"10.255.0.{self.number}",
            "credential_sha256": hashlib.sha256(credential.encode()).hexdigest(),
        }
        answer = await self._ask("POST", "/v1/edges", token, body)
        assert answer.status_code in (200, 201), answer.text
        self.id = answer.json()["edge"]["id"]
        for _ in range(beats):
            path = f"/v1/edges/{self.id}/lease"
            answer = await self._ask("PUT", path, credential, {"health": "ok"})
            assert answer.status_code == 200, answer.text


async def follow_as_forwarders_do(instances: tuple[Instance, Instance]) -> list[int]:
    """Follow the table, by differences, at whichever instance answers, until all edges are up in it."""
    pem = (instances[0].folder / "table-signing.key").read_bytes()
    key = serialization.load_pem_private_key(pem, password=None).public_key().public_bytes_raw()  # type: ignore[union-attr]
    kept: dict[str, Any] | None = None
    seen: list[int] = []
    async with asyncio.timeout(120):
        while kept is None or sum(edge["state"] == "up" for edge in kept["edges"]) < EDGES:
            for instance in instances:
                with contextlib.suppress(Unreachable):
                    async with ControlClient(str(instance.http.base_url), ADMIN) as client:
                        if signed := (await client.table(kept, wait=2)).table:
                            verify(key, signed.table, signed.signature)
                            if kept is None or signed.table["generation"] > kept["generation"]:
                                kept = signed.table
                                seen.append(kept["generation"])
                    break
            await asyncio.sleep(0.02)
    return seen


async def test_one_is_killed_in_a_stream_of_enrolments_and_heartbeats(two: tuple[Instance, Instance]) -> None:
    first, second = two
    tokens = [
        (await second.http.post("/v1/enrolment-tokens", json={}, headers=HEADERS)).json()["token"]
        for _ in range(EDGES)
    ]
    edges = [Edge(number, two) for number in range(1, EDGES + 1)]

    async def kill_in_the_middle() -> None:
        while sum(edge.id is not None for edge in edges) < EDGES / 3:
            await asyncio.sleep(0.01)
        await first.kill()

    lives = (edge.live(token, beats=4) for edge, token in zip(edges, tokens, strict=True))
    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow_as_forwarders_do(two))
        await asyncio.gather(kill_in_the_middle(), *lives)
    assert len({edge.id for edge in edges}) == EDGES, "an id was given twice"
    shown = (await second.http.get("/v1/edges", headers=HEADERS)).json()["items"]
    assert {(each["id"], each["name"]) for each in shown} == {
        (edge.id, f"edge{edge.number}") for edge in edges
    }
    table = (await second.http.get("/v1/table", headers=HEADERS)).json()
    assert {edge["id"]: edge["state"] for edge in table["edges"]} == dict.fromkeys(range(1, EDGES + 1), "up")
    seen = following.result()
    assert seen[-1] == table["generation"], "who follows the table has the last of it"
    used = (await second.http.get("/v1/enrolment-tokens", headers=HEADERS)).json()["items"]
    assert all(each["used_at"] for each in used)


async def test_what_one_publishes_the_others_watchers_see(pair: tuple[Any, Any], turn: Any) -> None:
    first, second = pair
    await turn()
    before = second.plane.watch.generation
    poll = asyncio.create_task(second.plane.watch.wait_beyond(before, 20))
    await first.enrol(1)
    await turn()
    await asyncio.wait_for(poll, 10)
    assert await second.table() == await first.table()
    await second.ask("PATCH", "/v1/edges/1", {"site": "b"})
    await second.heartbeat(1)
    await first.enrol(2)
    assert (await first.table())["generation"] == second.plane.watch.generation + 1
    assert [edge["state"] for edge in (await first.table())["edges"]] == ["up", "down"]


async def test_an_edge_that_one_hears_is_not_given_up_by_the_other(pair: tuple[Any, Any], turn: Any) -> None:
    first, second = pair
    await first.enrol(1)
    for _ in range(4):  # longer than a lease
        await first.heartbeat(1)
        await turn()
        for api in pair:
            await api.pass_time(4)
    assert await second.states() == {1: "up"}
    assert (await second.edge(1))["lease"]["health"] == "ok"
    await second.pass_time(11)
    assert await second.states() == {1: "down"}


async def test_an_edge_that_enrolled_with_one_is_heard_by_the_other_at_once(pair: tuple[Any, Any]) -> None:
    first, second = pair
    await first.enrol(1)
    assert (await second.heartbeat(1)).status_code == 200


async def test_an_edge_removed_at_one_instance_is_refused_by_the_other(
    pair: tuple[Any, Any], turn: Any
) -> None:
    first, second = pair
    await first.enrol(1)
    await first.enrol(2)
    await turn()
    assert (await second.heartbeat(1)).status_code == 200
    await first.ask("DELETE", "/v1/edges/1")
    await first.enrol(3)  # as many as before
    await turn()
    assert (await second.heartbeat(1)).status_code == 410
    assert [(await second.heartbeat(number)).status_code for number in (2, 3)] == [200, 200]


async def test_what_one_instance_changes_the_others_edges_receive(pair: tuple[Any, Any], turn: Any) -> None:
    first, second = pair
    await first.enrol(1)
    await turn()
    await first.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"})
    await turn()
    assert (await second.heartbeat(1)).json()["admin_state"] == "draining"


async def test_a_freeze_holds_everywhere(pair: tuple[Any, Any], turn: Any) -> None:
    first, second = pair
    await first.enrol(1)
    await first.ask("PUT", "/v1/freeze", {})
    before = await first.table()
    await second.enrol(2)
    await turn()
    assert await second.table() == await first.table() == before
    assert (await second.ask("GET", "/v1/freeze")).json()["frozen"] is True


async def test_one_instance_alone_gives_grants_and_not_while_anothers_may_last(
    pair: tuple[Any, Any], turn: Any
) -> None:
    await turn()
    assert not any(api.plane.sharing.leads for api in pair)
    for api in pair:
        api.clock.seconds += 10
    assert not any(api.plane.sharing.leads for api in pair), "no one has checked that it holds the lock"
    await turn()
    assert [api.plane.sharing.leads for api in pair].count(True) == 1


@pytest.mark.parametrize("another", [False, True], ids=["without", "with another"])
async def test_an_instance_without_the_fleets_signing_key_does_not_start(
    tmp_path: Path, cluster: Any, open_on: Any, another: bool
) -> None:
    database = cluster.database()
    async with open_on(tmp_path / "a", database):
        pass
    if another:
        async with open_on(tmp_path / "b", cluster.database()):
            pass  # it makes a key of its own there
    with pytest.raises(NoSigningKey, match="table-signing"):
        async with open_on(tmp_path / "b", database):
            pass
