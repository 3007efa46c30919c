"""A real edge with services: generations come into force under load without a lost or a mixed response."""

import asyncio
import signal
from pathlib import Path

import pytest
from edge_process import edge_process, origin
from published_edge import ALLOW_LOOPBACK, ask, open_session, publish, published_edge, reach_generation

from services.published import PublishedService

CLIENTS = 8
GENERATIONS = 8


def shop(revision: int, url: str) -> PublishedService:
    """A revision whose number is in what clients get, and in the path that the origin is asked for."""
    return PublishedService.of(
        "shop",
        revision,
        {
            "hostnames": ["shop.example"],
            "origins": [{"name": "main", "url": f"{url}/{revision}"}],
            "cache": [{"bypass": True}],
            "headers": {
                "client": [{"action": "set", "name": "x-revision", "value": str(revision)}],
                "origin": [{"action": "set", "name": "x-revision", "value": str(revision)}],
            },
        },
        {},
    )


@pytest.mark.parametrize("workers", ["0", "2"])
async def test_activations_under_load_lose_and_mix_nothing(tmp_path: Path, workers: str) -> None:
    """The client's field, the path and the field that the origin saw are of one revision, in every response."""
    async with (
        origin() as (url, asked),
        published_edge(tmp_path, shop(1, url), "--workers", workers) as edge,
    ):
        ended = asyncio.Event()
        seen: set[str] = set()

        async def load(number: int) -> int:
            connection, done = await open_session(edge), 0
            while not ended.is_set():
                status, fields, _ = await ask(connection, "shop.example", f"/{number}/{done}")
                assert status == 200
                revision = fields["x-revision"]
                requests = [one for one in asked if f"/{number}/{done} ".encode() in one]
                assert [one.split(b" ")[1] for one in requests] == [f"/{revision}/{number}/{done}".encode()]
                assert f"x-revision: {revision}".encode() in requests[0].lower()
                seen.add(revision)
                done += 1
            await connection.close()
            return done

        loads = [asyncio.create_task(load(number)) for number in range(CLIENTS)]
        for number in range(2, GENERATIONS):
            # to and fro, as a rollback does
            publish(edge.state, number, shop(number % 3 + 1, url))
            await reach_generation(edge, number)
        ended.set()
        assert min(await asyncio.gather(*loads)) > 0
        assert seen == {"1", "2", "3"}
        health = await edge.health()
        assert health["services"] == {"generation": GENERATIONS - 1, "refused": {}}


async def test_an_edge_killed_in_the_middle_serves_one_revision_or_the_other(tmp_path: Path) -> None:
    async with origin() as (url, _), published_edge(tmp_path, shop(1, url)) as edge:
        publish(edge.state, 2, shop(2, url))
        edge.process.send_signal(signal.SIGKILL)
        await edge.process.wait()
        async with edge_process(tmp_path, *ALLOW_LOOPBACK) as again:
            await reach_generation(again, 2)
            connection = await open_session(again)
            _, fields, _ = await ask(connection, "shop.example")
            assert fields["x-revision"] == "2"
            await connection.close()


async def test_workers_allow_one_rate_together_also_after_a_reload(tmp_path: Path) -> None:
    limited = PublishedService.of(
        "shop",
        1,
        {
            "hostnames": ["shop.example"],
            "origins": [{"name": "main", "url": "http://127.0.0.1:1"}],
            "redirects": [{"path": "/*", "to": "https://shop.example/", "status": 302}],
            "limits": {"requests_per_second": 0.001, "burst": 20},
        },
        {},
    )
    async with published_edge(tmp_path, limited, "--workers", "2", "--finish-timeout", "1") as edge:
        sessions = [await open_session(edge) for _ in range(8)]  # at both workers but for one run in 128
        statuses = [(await ask(each, "shop.example"))[0] for _ in range(5) for each in sessions]
        assert statuses == [302] * 20 + [429] * 20
        edge.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while "reloaded: 2 workers" not in edge.log.read_text():
                await asyncio.sleep(0.05)
        later = await open_session(edge)
        assert (await ask(later, "shop.example"))[0] == 429
        for each in (*sessions, later):
            await each.close()


async def test_names_of_no_service_are_misdirected_and_refusals_are_reported(tmp_path: Path) -> None:
    async with origin() as (url, _), published_edge(tmp_path, shop(1, url), "--workers", "2") as edge:
        connection = await open_session(edge)
        assert (await ask(connection, "other.example"))[0] == 421
        wrong = PublishedService.of("shop", 2, {"hostnames": ["shop.example"], "origins": []}, {})
        publish(edge.state, 2, wrong)
        await reach_generation(edge, 2)
        status, fields, _ = await ask(connection, "shop.example")
        assert (status, fields["x-revision"]) == (200, "1")
        services = (await edge.health())["services"]
        assert isinstance(services, dict)
        assert services["refused"]["shop"]["revision"] == 2
        assert "origins" in services["refused"]["shop"]["reason"]
        await connection.close()
