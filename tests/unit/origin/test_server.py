"""The origin's server: the edge's bounds and checks of heads, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from certificates import identity

from origin import main
from origin.app import OriginApp
from origin.main import create_server
from smkex.http.server.http1 import RequestLimits


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    (tmp_path / "index.html").write_text("index")
    (tmp_path / "a").write_text("body")
    server = create_server(OriginApp(tmp_path, 60), "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def test_it_speaks_tls_with_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("body")
    certificate, key = identity(tmp_path, "origin", "127.0.0.1")
    server = create_server(OriginApp(tmp_path, 60), "127.0.0.1", 0, (certificate, key))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    trusted = ssl.create_default_context(cafile=str(certificate))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
        writer.write(b"GET /a HTTP/1.1\r\nhost: cdn.lab\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"body")
    writer.close()
    server.should_exit = True
    await serving


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        response = await reader.read()
    writer.close()
    return response


@pytest.mark.parametrize(
    ("line", "host", "status", "body"),
    [
        (b"GET /a HTTP/1.1", b"cdn.lab", 200, b"body"),
        (b"GET /a HTTP/1.0", b"cdn.lab", 200, b"body"),
        (b"GET http://cdn.lab/a HTTP/1.1", b"wrong.lab", 200, b"body"),
        (b"GET http://cdn.lab HTTP/1.1", b"cdn.lab", 200, b"index"),
        (b"OPTIONS * HTTP/1.1", b"cdn.lab", 204, b""),
        (b"GET /a HTTP/1.1", b"cdn.lab:80:80", 400, None),
        (b"GET /a HTTP/1.1", b"user@cdn.lab", 400, None),
        (b"GET ftp://cdn.lab/a HTTP/1.1", b"cdn.lab", 400, None),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"cdn.lab", 414, None),
        (b"GET /a HTTP/1.1\r\nx: " + b"a" * 40_000, b"cdn.lab", 431, None),
        (b"CONNECT cdn.lab:80 HTTP/1.1", b"cdn.lab", 501, None),
    ],
)
async def test_heads_are_checked_as_at_the_edge(
    port: int, line: bytes, host: bytes, status: int, body: bytes | None
) -> None:
    response = await ask(port, line + b"\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 %d " % status)
    if body is not None:
        assert response.partition(b"\r\n\r\n")[2] == body


async def test_a_head_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "LIMITS", RequestLimits(head_wait=0.1))
    monkeypatch.setattr(main, "DEADLINE_CHECK_SECONDS", 0.05)
    server = create_server(OriginApp(tmp_path, 60), "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    response = await ask(server.servers[0].sockets[0].getsockname()[1], b"GET /a HTTP/1.1\r\n")
    assert response.startswith(b"HTTP/1.1 408 ")
    server.should_exit = True
    await serving
