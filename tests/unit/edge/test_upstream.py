"""Connections to the origin: however slow some clients are, the others are answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from loopback import until

from edge import upstream
from edge.pass_on import pass_on
from edge.request import Request
from edge.upstream import Upstream

CONNECTIONS = 6
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Origin:
    """A real server that answers once it has the whole request."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if b"chunked" in head.lower():
                    await reader.readuntil(b"0\r\n\r\n")
                writer.write(ANSWER)


@pytest.fixture
async def origin() -> AsyncIterator[tuple[Origin, str]]:
    made = Origin()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield made, f"http://127.0.0.1:{port}"
    server.close()


def upload() -> Request:
    headers = [(b"host", b"cdn"), (b"transfer-encoding", b"chunked")]
    return Request.of({"method": "POST", "raw_path": b"/a", "query_string": b"", "headers": headers})


async def never_ends() -> AsyncIterator[bytes]:
    yield b"a"
    await asyncio.Event().wait()


async def test_clients_that_never_finish_their_bodies_leave_connections_for_the_others(
    origin: tuple[Origin, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "CONNECTIONS", CONNECTIONS)
    monkeypatch.setattr(upstream, "POOL_TIMEOUT", 3.0)
    it, url = origin
    asks = Upstream(url, "edge1")

    async def send(message: object) -> None:
        pass

    slow = [
        asyncio.create_task(pass_on(asks, upload(), never_ends(), lambda answer: [], send))
        for _ in range(2 * CONNECTIONS)
    ]
    await until(lambda: len(it.heads) >= CONNECTIONS // 2)
    async with asks.request("GET", b"/b", [("host", "cdn")]) as answer:
        assert answer.status == 200
        assert [part async for part in answer.parts] == [b"ok"]
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    await asks.close()
