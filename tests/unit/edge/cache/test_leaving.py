"""A client that leaves takes nothing more from the origin, however large what it has asked for is."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cdn import Cdn, cdn
from loopback import until

from smkex.http.server.http_server import HttpServer

PART = bytes(1 << 16)


class Endless(httpx.AsyncByteStream):
    """A body that never ends, and whether it is still read."""

    def __init__(self) -> None:
        self.given, self.wanted = 0, True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            self.given += len(PART)
            yield PART

    async def aclose(self) -> None:
        self.wanted = False


class Client(asyncio.Transport):
    """Takes whatever it is given, until it leaves."""

    gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.gone = True


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Cdn]:
    async with cdn(tmp_path / "cache") as made:
        yield made


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /a HTTP/1.1\r\nhost: cdn\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: cdn\r\nrange: bytes=99999999-\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: cdn\r\ncontent-length: 2\r\n\r\nab",
        b"GET /a HTTP/1.1\r\nhost: cdn\r\n\r\n" * 2,
    ],
    ids=["not stored", "passed on", "asked with a body", "another request behind it"],
)
async def test_a_fetch_without_clients_is_cancelled(it: Cdn, request_: bytes) -> None:
    body = Endless()
    it.origin.answer = lambda request: httpx.Response(200, headers={"cache-control": "private"}, stream=body)
    server = HttpServer(it.proxy, date=False)
    await server.start()
    protocol, client = server.create_protocol(), Client()
    protocol.connection_made(client)
    protocol.data_received(request_)
    await until(lambda: body.given > 10 * len(PART))
    client.close()
    protocol.connection_lost(None)
    await until(lambda: not body.wanted)
    await until(lambda: not server._state.tasks)
    await server.stop()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault_of_the_edge(
    it: Cdn, caplog: pytest.LogCaptureFixture
) -> None:
    server = HttpServer(it.proxy, date=False)
    await server.start()
    protocol, client = server.create_protocol(), Client()
    protocol.connection_made(client)
    protocol.data_received(b"POST /a HTTP/1.1\r\nhost: cdn\r\ncontent-length: 9\r\n\r\nab")
    await asyncio.sleep(0)
    client.close()
    protocol.connection_lost(None)
    await until(lambda: not server._state.tasks)
    await server.stop()
    assert "Exception" not in caplog.text
