"""Bodies that are too large or too slow, over real sockets: refused soon, nothing kept, nothing stored."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from balancer.control.http import problems
from balancer.control.http.body_limit import BodyLimit


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(BodyLimit, limit=1000, seconds=0.5)

    @app.post("/")
    async def take(body: dict[str, Any]) -> int:
        return len(body)

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def begin(port: int, length: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST / HTTP/1.1\r\nhost: c\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def status(reader: asyncio.StreamReader) -> int:
    return int((await asyncio.wait_for(reader.readline(), 20)).split()[1])


async def test_a_hundred_megabytes_are_refused_by_their_announcement(port: int) -> None:
    reader, writer = await begin(port, "content-length: 104857600")
    assert await status(reader) == 413
    writer.close()


async def test_a_hundred_megabytes_without_an_announcement_are_refused_at_the_limit(port: int) -> None:
    reader, writer = await begin(port, "transfer-encoding: chunked")
    sent = 0
    try:
        while sent < 100 << 20 and not reader.at_eof():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await asyncio.wait_for(writer.drain(), 20)
            sent += 65_536
    except ConnectionError:
        pass
    assert sent < 20 << 20, "it was all taken"


async def test_a_body_that_trickles_is_refused_and_the_connection_ends(port: int) -> None:
    reader, writer = await begin(port, "content-length: 100")
    writer.write(b"{")
    assert await status(reader) == 408
    assert b"body-too-slow" in await asyncio.wait_for(reader.read(), 20)
    writer.close()


async def test_an_honest_body_is_taken(port: int) -> None:
    reader, writer = await begin(port, "content-length: 2")
    writer.write(b"{}")
    assert await status(reader) == 200
    writer.close()
