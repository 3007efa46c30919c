"""A real edge with two origins: clients of sessions see nothing of one that dies and returns."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from edge_process import EdgeProcess
from origin_groups import LiveOrigin
from published_edge import ask, open_session, published_edge

from services.published import PublishedService

CLIENTS = 8
EJECTION = {"failures": 3, "seconds": 1.0}


def two_origins(*lives: LiveOrigin, **fields: Any) -> PublishedService:
    origins = [
        {"name": live.name, "url": f"http://127.0.0.1:{live.port}", "ejection": EJECTION, **fields}
        for live in lives
    ]
    document = {"hostnames": ["shop.example"], "origins": origins, "cache": [{"bypass": True}]}
    return PublishedService.of("shop", 1, document, {})


async def unhealthy_origins(edge: EdgeProcess) -> dict[str, str]:
    origins: Any = (await edge.health()).get("origins", {})
    return {each["origin"]: each["state"] for each in origins.get("listed", [])}


async def until_unhealthy(edge: EdgeProcess, wanted: dict[str, str]) -> None:
    async with asyncio.timeout(30):
        while await unhealthy_origins(edge) != wanted:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", ["0", "2"])
async def test_no_client_sees_that_an_origin_dies_and_returns(tmp_path: Path, workers: str) -> None:
    lives = [LiveOrigin("a"), LiveOrigin("b")]
    for live in lives:
        await live.start()
    a, b = lives
    async with published_edge(tmp_path, two_origins(a, b), "--workers", workers) as edge:
        ended, answered = asyncio.Event(), 0
        seen: list[bytes] = []

        async def load(number: int) -> None:
            nonlocal answered
            connection = await open_session(edge)
            while not ended.is_set():
                status, _, body = await ask(connection, "shop.example", f"/{number}")
                assert (status, body) in ((200, b"a"), (200, b"b"))
                seen.append(body)
                answered += 1
            await connection.close()

        async def until_answered(more: int) -> None:
            wanted = answered + more
            async with asyncio.timeout(60):
                while answered < wanted:
                    assert not any(task.done() for task in loads)
                    await asyncio.sleep(0.02)

        loads = [asyncio.create_task(load(number)) for number in range(CLIENTS)]
        await until_answered(100)
        assert set(seen) == {b"a", b"b"}
        a.kill()
        await until_answered(100)
        await until_unhealthy(edge, {"a": "ejected"})
        await a.start()
        await until_unhealthy(edge, {})
        seen.clear()
        async with asyncio.timeout(60):
            while b"a" not in seen:
                await asyncio.sleep(0.02)
        ended.set()
        await asyncio.gather(*loads)
        assert "origin ejected" in edge.log.read_text()
    for live in lives:
        live.kill()


async def test_an_origin_whose_checks_fail_is_ill_in_the_health_of_the_edge(tmp_path: Path) -> None:
    a, b = LiveOrigin("a"), LiveOrigin("b")
    await a.start()
    await b.start()
    check = {"path": "/health", "interval": 0.1, "timeout": 5.0, "rise": 2, "fall": 2}
    async with published_edge(tmp_path, two_origins(a, b, health=check)) as edge:
        connection = await open_session(edge)
        assert (await ask(connection, "shop.example"))[0] == 200
        a.status = "500 Internal Server Error"
        await until_unhealthy(edge, {"a": "ill"})
        assert [(await ask(connection, "shop.example"))[2] for _ in range(4)] == [b"b"] * 4
        a.status = "200 OK"
        await until_unhealthy(edge, {})
        await connection.close()
    a.kill()
    b.kill()
