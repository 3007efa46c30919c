"""Two processes of the control plane move a rollout, one is killed: each stage is passed once, none that is ill.

On PostgreSQL both run at once. On SQLite one process has the database, and the other begins when it is killed.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_process import ADMIN, ControlProcess

from services.published import ServiceGeneration

LEASE_SECONDS = 8  # an instance that takes over waits so long
SITES = ("a", "b", "c")
EDGES = {number: SITES[(number - 1) // 2] for number in range(1, 7)}  # two edges a site
PLAN = {"stages": [{"site": site} for site in SITES], "dwell_seconds": 1}
PATH = "/v1/services/shop"


@dataclass
class Instances:
    """The processes that run, and who asks any of them."""

    running: list[ControlProcess]
    chance: random.Random = field(default_factory=lambda: random.Random(5))

    async def ask(self, method: str, path: str, body: Any = None, token: str = ADMIN) -> httpx.Response:
        """Ask one of them until one answers."""
        async with asyncio.timeout(90):
            while True:
                port = self.chance.choice(self.running).port
                with contextlib.suppress(httpx.HTTPError):
                    answer = await self._http.request(
                        method,
                        f"http://127.0.0.1:{port}{path}",
                        json=body,
                        headers={"Authorization": f"Bearer {token}"},
                    )
                    if answer.status_code < 500:
                        return answer
                await asyncio.sleep(0.05)

    async def __aenter__(self) -> "Instances":
        self._http = httpx.AsyncClient(timeout=20)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def audited(self) -> list[tuple[str, str]]:
        """Return what was done about the service, oldest first."""
        items = (await self.ask("GET", "/v1/audit?limit=500")).json()["items"]
        return [(each["what"], each["detail"]) for each in reversed(items) if each["target"] == "shop"]

    async def rollout(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("GET", f"{PATH}/rollout")).json()
        return found

    async def until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the rollout is as wanted, and return it."""
        async with asyncio.timeout(120):
            while not done(found := await self.rollout()):
                await asyncio.sleep(0.1)
            return found


@dataclass
class Edges:
    """Edges that ask any instance, and what they received and had said before, in order."""

    instances: Instances
    refusing: frozenset[int] = frozenset()
    reported: set[int] = field(default_factory=set)  # edges that sent which services they have
    applied: set[int] = field(default_factory=set)  # edges that sent that they have revision 2
    early: list[str] = field(default_factory=list)

    async def live(self, number: int) -> None:
        """Apply what comes, and report it, until cancelled."""
        token, made = f"credential-of-edge-{number}", None
        while True:
            answer = await self.instances.ask("GET", "/v1/published-services", token=token)
            if answer.status_code == 200:
                fresh = ServiceGeneration.from_answer(answer.json())
                if made is None or fresh.generation > made.generation:  # an instance may be behind
                    made = fresh
            if made is not None:
                await self._report(number, made, token)
            await asyncio.sleep(0.1)

    async def _report(self, number: int, made: ServiceGeneration, token: str) -> None:
        newest = next((one.revision for one in made.services if one.name == "shop"), 0)
        refused = []
        if newest == 2:
            self._check_stage(number)
            if number in self.refusing:
                refused = [{"name": "shop", "revision": 2, "reason": "does not suit"}]
            else:
                self.applied.add(number)
        report = {"generation": made.generation, "refused": refused}
        body = {"health": "ok", "services": report}
        answer = await self.instances.ask("PUT", f"/v1/edges/{number}/lease", body, token)
        assert answer.status_code == 200, answer.text
        self.reported.add(number)

    def _check_stage(self, number: int) -> None:
        """Note an edge that has the candidate though an edge of an earlier stage never said that it applied it."""
        earlier = {edge for edge, site in EDGES.items() if site < EDGES[number]}
        if missing := earlier - self.applied:
            self.early.append(f"edge {number} has the candidate before edges {sorted(missing)}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
async def processes(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[ControlProcess, ControlProcess]]:
    """The process that leads, and one that does not run yet where the database takes one only."""
    database = None if request.param == "sqlite" else request.getfixturevalue("cluster").database()
    folders = (tmp_path / "a", tmp_path / ("a" if database is None else "b"))
    first, second = (
        ControlProcess(folder, database=database, lease_seconds=LEASE_SECONDS) for folder in folders
    )
    try:
        await first.start()
        if database is not None:
            second.copy_key(first)
            await second.start()
        yield first, second
    finally:
        await first.kill()
        await second.kill()


@asynccontextmanager
async def rolling(first: ControlProcess, second: ControlProcess, edges: Edges) -> AsyncIterator[Instances]:
    """Enrol the edges, and begin a rollout of revision 2."""
    instances = edges.instances
    async with instances:
        for number, site in EDGES.items():
            await first.enrol(number, site)
        await instances.ask("POST", "/v1/services", {"name": "shop"})
        for number in (1, 2):
            origins = [{"name": "eu", "url": "http://192.0.2.1"}]
            body = {"hostnames": [f"{number}.example"], "origins": origins}
            assert (await instances.ask("POST", f"{PATH}/revisions", body)).status_code == 201
        assert (await instances.ask("POST", f"{PATH}/activate", {"revision": 1})).status_code == 200
        lives = [asyncio.create_task(edges.live(number)) for number in EDGES]
        try:
            async with asyncio.timeout(120):
                while edges.reported != EDGES.keys():  # one that never did takes no part in a rollout
                    await asyncio.sleep(0.1)
            answer = await instances.ask("POST", f"{PATH}/activate", {"revision": 2, "rollout": PLAN})
            assert answer.status_code == 200, answer.text
            yield instances
        finally:
            for life in lives:
                life.cancel()
            ended = await asyncio.gather(*lives, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


def is_running(process: ControlProcess) -> bool:
    return process.process is not None and process.process.returncode is None


async def replace(instances: Instances, first: ControlProcess, second: ControlProcess) -> None:
    """Kill the first; the other goes on."""
    instances.running = [second]
    await first.kill()
    if not is_running(second):
        await second.start()


async def press_advance(instances: Instances) -> None:
    """Ask every instance for the next stage at once, again and again, until cancelled."""
    while True:
        body = {"action": "advance"}
        await asyncio.gather(*(instances.ask("POST", f"{PATH}/rollout", body) for _ in range(4)))


PASSED = [
    ("service.rollout", "revision 2, stage 0"),
    ("service.rollout", "revision 2, stage 1"),
    ("service.rollout", "revision 2, stage 2"),
    ("service.activate", "revision 1 -> 2"),
]


async def test_each_stage_is_passed_once_though_the_process_that_leads_is_killed(
    processes: tuple[ControlProcess, ControlProcess],
) -> None:
    first, second = processes
    edges = Edges(Instances([each for each in processes if is_running(each)]))
    async with rolling(first, second, edges) as instances:
        await instances.until(lambda found: found["position"] == 1)
        await replace(instances, first, second)
        assert (await instances.until(lambda found: found["state"] != "running"))["state"] == "done"
        assert (await instances.audited())[-4:] == PASSED
        assert not edges.early


async def test_each_stage_is_passed_once_though_many_ask_for_the_next_at_once(
    processes: tuple[ControlProcess, ControlProcess],
) -> None:
    first, second = processes
    edges = Edges(Instances([each for each in processes if is_running(each)]))
    async with rolling(first, second, edges) as instances:
        pressing = asyncio.create_task(press_advance(instances))
        try:
            assert (await instances.until(lambda found: found["state"] != "running"))["state"] == "done"
        finally:
            pressing.cancel()
            await asyncio.gather(pressing, return_exceptions=True)
        assert (await instances.audited())[-4:] == PASSED
        assert not edges.early


async def test_no_stage_is_passed_that_an_edge_refuses_though_many_ask_for_it(
    processes: tuple[ControlProcess, ControlProcess],
) -> None:
    first, second = processes
    edges = Edges(Instances([each for each in processes if is_running(each)]), refusing=frozenset({3}))
    async with rolling(first, second, edges) as instances:
        pressing = asyncio.create_task(press_advance(instances))
        try:
            found = await instances.until(lambda found: found["state"] != "running")
        finally:
            pressing.cancel()
            await asyncio.gather(pressing, return_exceptions=True)
        assert (found["state"], found["position"]) == ("returned", 1)
        assert found["why"] == "edge 3 refuses it: does not suit"
        moves = [what for what, _ in (await instances.audited())[-3:]]
        assert moves == ["service.rollout", "service.rollout", "service.rollout-return"]
        assert not edges.early
        assert {5, 6}.isdisjoint(edges.applied)
