"""kill -9 of control plane and edge in the middle of activations: one revision or the other, never a mixture."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from control_process import control_process, following_edge
from edge_process import EdgeProcess, edge_process, origin
from published_edge import ALLOW_LOOPBACK, ask, open_session, publish

from balancer.api.client import ApiError, Unreachable
from balancer.api.services import ActivationRequest, ServiceBody
from balancer.api.services_client import ServicesClient
from services.published import PublishedService
from services.published_file import read_applied_services

HOST = "shop.example"
ROUNDS = int(os.environ.get("SENNIT_LONG_ROUNDS", "3"))  # `make test-long` has more
SEED = 7  # of the moments


def document(mark: int, url: str) -> dict[str, Any]:
    """A document whose mark is in the path that the origin is asked for, and in what clients get."""
    return {
        "hostnames": [HOST],
        "origins": [{"name": "main", "url": f"{url}/{mark}"}],
        "cache": [{"bypass": True}],
        "headers": {
            "client": [{"action": "set", "name": "x-mark", "value": str(mark)}],
            "origin": [{"action": "set", "name": "x-mark", "value": str(mark)}],
        },
    }


@dataclass
class Watch:
    """A client of one edge: every response is of one revision, and the generation in force never goes back."""

    edge: EdgeProcess
    asked: list[bytes]
    name: str
    marks: list[int] = field(default_factory=list)

    async def run(self) -> None:
        """Ask until cancelled."""
        await until_served(self.edge)
        connection = await open_session(self.edge)
        generation, number = 0, 0
        while True:
            path, number = f"/{self.name}-{number}", number + 1
            status, fields, _ = await ask(connection, HOST, path)
            assert status == 200
            mark = fields["x-mark"]
            [seen] = [one for one in self.asked if f"{path} ".encode() in one]
            assert seen.split(b" ")[1] == f"/{mark}{path}".encode()
            assert f"x-mark: {mark}".encode() in seen.lower()
            self.marks.append(int(mark))
            applied = read_applied_services(self.edge.state).generation
            assert applied >= generation, "an edge went back"
            generation = applied
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watched(*watches: Watch) -> AsyncIterator[None]:
    """Run clients meanwhile; fail at once where one does."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in watches]
        yield
        for task in tasks:
            task.cancel()


async def activate(client: ServicesClient, revision: int) -> bool:
    """Activate a revision; return whether the control plane said that it is active."""
    try:
        answer = await client.activate_revision("shop", ActivationRequest(revision=revision))
    except (Unreachable, ApiError):
        return False
    return answer.active == revision


@pytest.mark.timeout(480)
async def test_a_control_plane_killed_in_activations_loses_and_mixes_nothing(tmp_path: Path) -> None:
    """What was answered is in force after the restart; else the revision before is, or the new one, at all edges."""
    moments, loop = random.Random(SEED), asyncio.get_running_loop()
    outcomes: list[tuple[bool, bool]] = []
    async with (
        origin() as (url, asked),
        control_process(tmp_path / "control") as control,
        following_edge(tmp_path / "one", control, 1) as one,
        following_edge(tmp_path / "two", control, 2, "--workers", "2") as two,
        control.client() as client,
    ):
        await client.create_service(ServiceBody(name="shop"))
        for revision in (1, 2):
            await client.add_revision("shop", document(revision, url))
            began = loop.time()
            assert await activate(client, revision)
            usual = loop.time() - began
        watches = Watch(one, asked, "one"), Watch(two, asked, "two")
        async with watched(*watches):
            for revision in range(3, ROUNDS + 3):
                assert (await client.add_revision("shop", document(revision, url))).number == revision
                activation = asyncio.create_task(activate(client, revision))
                await asyncio.sleep(moments.uniform(0.2, 1.2) * usual)  # a moment of it
                await control.kill()
                answered = await activation
                await control.start()
                active = (await client.service("shop")).active
                assert active == revision if answered else active in (revision - 1, revision)
                outcomes.append((answered, active == revision))
                if active != revision:  # nothing is left that would stand in its way
                    await until_marks(watches, revision - 1)
                    assert await activate(client, revision)
                await until_marks(watches, revision)
    print(f"usually {usual * 1000:.0f} ms; (answered, in force): {outcomes}")


@pytest.mark.timeout(480)
async def test_an_edge_killed_in_activations_serves_one_revision_or_the_other(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    async with origin() as (url, asked):
        publish(tmp_path / "state", 1, PublishedService.of("shop", 1, document(1, url), {}))
        for number in range(1, ROUNDS):
            async with edge_process(tmp_path, *ALLOW_LOOPBACK, "--workers", "2") as edge:
                watch = Watch(edge, asked, f"edge{number}")
                running = asyncio.create_task(watch.run())
                await until_marks([watch], number)
                publish(edge.state, number + 1, PublishedService.of("shop", 1, document(number + 1, url), {}))
                await asyncio.sleep(moments.uniform(0, 0.4))  # a moment until it is in force at both workers
                edge.process.kill()
                await edge.process.wait()
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError, EOFError, TimeoutError):
                    await running
                assert set(watch.marks) <= {number, number + 1}
                assert watch.marks == sorted(watch.marks)


async def until_marks(watches: Iterable[Watch], mark: int) -> None:
    """Wait until the clients of all edges get a revision."""
    async with asyncio.timeout(120):
        while any(watch.marks[-1:] != [mark] for watch in watches):
            await asyncio.sleep(0.02)


async def until_served(edge: EdgeProcess) -> None:
    """Wait until the edge has services in force."""
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(OSError, ValueError):
                if read_applied_services(edge.state).generation:
                    return
            await asyncio.sleep(0.02)
