"""Clients that keep the server waiting, over real sockets: disconnected in time, and no other client is."""

import asyncio
import functools
import gc
from collections.abc import AsyncIterator

import pytest
import uvicorn
from fastapi import FastAPI, Response

from balancer.control.http.connection import BoundedConnection

GET = b"GET / HTTP/1.1\r\nhost: c\r\n\r\n"
LARGE = 64 << 20


@pytest.fixture
async def server() -> AsyncIterator[uvicorn.Server]:
    app = FastAPI()

    @app.get("/")
    async def say() -> str:
        return "hello"

    @app.get("/slow")
    async def say_late() -> str:
        await asyncio.sleep(2)
        return "late"

    @app.get("/large")
    async def say_much() -> Response:
        return Response(b"x" * LARGE)

    protocol = functools.partial(BoundedConnection, head_seconds=0.5, head_bytes=4096, write_seconds=0.5)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, http=protocol))  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server
    server.should_exit = True
    await task


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    number: int = server.servers[0].sockets[0].getsockname()[1]
    return number


async def end_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), 30)


async def test_a_head_that_is_never_whole_is_refused(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET[:-2])
    answer = await end_of(reader)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:sennit:problem:head-too-slow" in answer
    writer.close()


async def test_a_head_that_trickles_on_is_let_go_whatever_trickles(server: uvicorn.Server, port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET[:-2])
    async with asyncio.timeout(30):
        while not server.server_state.connections:
            await asyncio.sleep(0.02)
        while server.server_state.connections:
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.1)
    writer.close()


@pytest.mark.parametrize("line", [b"x: y\r\n", b"x"], ids=["many fields", "one line"])
async def test_a_head_without_end_is_refused_at_the_limit(port: int, line: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET[:-2] + line * 4096)
    assert (await end_of(reader)).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_a_connection_that_asks_nothing_is_closed(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await end_of(reader) == b""
    writer.close()


async def test_a_second_head_that_trickles_is_refused_too(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    assert await asyncio.wait_for(reader.readuntil(b'"hello"'), 30)
    writer.write(GET[:9])
    assert (await end_of(reader)).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_who_waits_for_an_answer_or_for_nothing_between_requests_is_left_alone(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET.replace(b"/ ", b"/slow "))
    assert await asyncio.wait_for(reader.readuntil(b'"late"'), 30)
    await asyncio.sleep(1)
    writer.write(GET)
    assert await asyncio.wait_for(reader.readuntil(b'"hello"'), 30)
    writer.close()


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"\x00garbage", b"400"),
        (b"POST / HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", b"400"),
    ],
    ids=["garbage", "an invalid body"],
)
@pytest.mark.parametrize("before", [b"/ ", b"/slow "])
async def test_the_requests_before_an_invalid_one_are_answered_first(
    port: int, before: bytes, behind: bytes, status: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET.replace(b"/ ", before, 1) + behind)
    answers = (await end_of(reader)).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", status]
    assert b"urn:sennit:problem:" in answers[1]
    writer.close()


async def test_who_takes_nothing_of_an_answer_is_let_go(server: uvicorn.Server, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(GET.replace(b"/ ", b"/large "))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    async with asyncio.timeout(30):  # the reader's small limit stops it from taking more
        while server.server_state.connections:
            await asyncio.sleep(0.02)
    taken = 0
    try:
        while piece := await asyncio.wait_for(reader.read(1 << 20), 30):
            taken += len(piece)
    except ConnectionResetError:
        pass
    assert taken < LARGE
    writer.close()


async def test_connections_that_ended_leave_nothing_for_the_collector(port: int) -> None:
    """Its check interval is long."""
    gc.collect()
    before = len(alive())
    gc.disable()
    try:
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert await asyncio.wait_for(reader.readuntil(b'"hello"'), 30)
            writer.close()
        async with asyncio.timeout(30):
            while len(alive()) > before:
                await asyncio.sleep(0.02)
    finally:
        gc.enable()


def alive() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, BoundedConnection)]
