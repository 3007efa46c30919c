"""The origin's failures on demand, through a real server, and Cache-Control by rule."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from origin.app import OriginApp
from origin.cache_rules import CacheRules, InvalidRule
from origin.faults import ADMIN, Fault, Faults

CONTENT = bytes(range(256)) * 100
RULES = "*.html=no-cache; /static/*=public, max-age=31536000, immutable"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "static").mkdir()
    for name in ("a", "page.html", "static/a.js"):
        (tmp_path / name).write_bytes(CONTENT)
    app = Faults(OriginApp(tmp_path, 60, RULES))
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as made:
        yield made
    server.should_exit = True
    await running


async def test_cache_control_is_by_rule(client: httpx.AsyncClient) -> None:
    expected = {"/a": "public, max-age=60", "/page.html": "no-cache"}
    expected["/static/a.js"] = "public, max-age=31536000, immutable"
    for path, value in expected.items():
        assert (await client.get(path)).headers["cache-control"] == value


@pytest.mark.parametrize("text", ["x", "=no-cache", "*.html=", "*=a\nb"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(InvalidRule):
        CacheRules.parse(text, "")


async def test_errors_on_demand_for_as_many_requests_as_said(client: httpx.AsyncClient) -> None:
    await client.put(ADMIN, json={"status": 503, "count": 2, "path": "/a"})
    assert (await client.get("/page.html")).status_code == 200
    assert [(await client.get("/a")).status_code for _ in range(3)] == [503, 503, 200]
    assert (await client.get(ADMIN)).json() == {}


async def test_slow_on_demand(client: httpx.AsyncClient) -> None:
    await client.put(ADMIN, json={"delay": 0.3})
    begun = time.monotonic()
    assert (await client.get("/a")).content == CONTENT
    assert time.monotonic() - begun >= 0.3
    await client.delete(ADMIN)
    assert (await client.get(ADMIN)).json() == {}


async def test_cut_short_on_demand(client: httpx.AsyncClient) -> None:
    await client.put(ADMIN, json={"cut": 1000})
    received: list[bytes] = []

    async def read() -> None:
        async with client.stream("GET", "/a") as answer:
            async for part in answer.aiter_raw():
                received.append(part)

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    assert b"".join(received) == CONTENT[:1000]


async def test_what_comes_through_an_edge_sets_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.put(ADMIN, json={"status": 503}, headers={"via": "1.1 edge1"})
    assert answer.status_code == 405
    assert (await client.get("/a")).status_code == 200


@pytest.mark.parametrize(
    "text", [b"{", b'{"what": 1}', b'{"status": 99}', b'{"delay": -1}', b'{"delay": "x"}']
)
def test_what_is_no_fault_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        Fault.parse(text)


@pytest.mark.parametrize(
    ("client", "server", "status"),
    [
        ("127.0.0.1", "127.0.0.1", 200),
        ("10.0.0.1", "10.0.0.1", 200),
        ("10.0.0.2", "10.0.0.1", 405),
        ("", "", 405),
    ],
)
async def test_only_this_host_sets_faults(client: str, server: str, status: int, tmp_path: Path) -> None:
    app = Faults(OriginApp(tmp_path, 60))

    async def connected(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": (client, 1), "server": (server, 80)}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(connected), base_url="http://origin") as asks:
        assert (await asks.put(ADMIN, json={"status": 503})).status_code == status
