"""The table as server-sent events, over a real socket: whole first, then what changes, and on from Last-Event-ID."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from balancer.control.app import create_app

ADMIN = {"Authorization": "Bearer the-admin-token-of-this-test"}


@pytest.fixture
async def http(tmp_path: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(tmp_path, ADMIN["Authorization"].split()[1])
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, headers=ADMIN, timeout=10) as client:
        yield client
    server.should_exit = True
    app.state.plane.watch.close()
    await task


@contextlib.asynccontextmanager
async def events(http: httpx.AsyncClient, **headers: str) -> AsyncIterator[AsyncIterator[Any]]:
    async with http.stream("GET", "/v1/table/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def each() -> AsyncIterator[Any]:
            number = 0
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    number = int(line[4:])
                if line.startswith("data: "):
                    yield number, json.loads(line[6:])

        yield each()


async def add(http: httpx.AsyncClient, number: int) -> None:
    body = {"name": f"vip{number}", "v4": f"203.0.113.{number}"}
    assert (await http.post("/v1/vips", json=body)).status_code == 201


async def test_events_carry_the_whole_and_then_what_changed(http: httpx.AsyncClient) -> None:
    async with events(http) as stream:
        number, whole = await anext(stream)
        assert (number, whole["generation"], "since" in whole) == (0, 0, False)
        await add(http, 1)
        number, first = await anext(stream)
        assert (number, [vip["name"] for vip in first["vips"]]) == (1, ["vip1"])
        await add(http, 2)
        number, delta = await anext(stream)
        assert (number, delta["since"]) == (2, 1)


async def test_who_comes_back_gets_what_was_missed(http: httpx.AsyncClient) -> None:
    for number in (1, 2, 3):
        await add(http, number)
    async with events(http, **{"Last-Event-ID": "1"}) as stream:
        number, delta = await anext(stream)
        assert (number, delta["since"], delta["generation"]) == (3, 1, 3)


async def test_a_stranger_follows_nothing(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/table/events", headers={"Authorization": "Bearer guess"})).status_code == 401
