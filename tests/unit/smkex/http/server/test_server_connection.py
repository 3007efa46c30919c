"""A connection answers by the fast path, and has the general protocol only while a request needs it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from smkex.http.server.http_server import HttpServer
from smkex.http.server.server_connection import ServerConnection

FAST = b"GET /fast HTTP/1.1\r\nhost: edge\r\n\r\n"
GENERAL = b"GET /general HTTP/1.1\r\nhost: edge\r\n\r\n"
LATER = float(1 << 40)  # a time at which every deadline has passed


async def app(scope: dict[str, Any], receive: Any, send: Callable[[dict[str, Any]], Any]) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"g"})


def fast_path(data: bytes, connection: object) -> list[bytes] | None:
    return [b"head", b"body"] if data == FAST else None


class Client(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.written: list[bytes] = []
        self.ends: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.ends)

    def close(self) -> None:
        self.ends.append("closed")

    def abort(self) -> None:
        self.ends.append("aborted")

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Served:
    """A server, one connection of it, and its client."""

    def __init__(self) -> None:
        self.opened: list[object] = []
        self.lost = 0
        self.server = HttpServer(app, fast_path=fast_path, open_connection=self._open)
        self.client = Client()

    def _open(self, transport: object) -> str:
        self.opened.append(transport)
        return "connection"

    def connect(self) -> None:
        made = self.server.create_protocol(self._end)
        assert isinstance(made, ServerConnection)
        made.connection_made(self.client)
        self.connection = made

    def _end(self) -> None:
        self.lost += 1

    async def ask_general(self, data: bytes = GENERAL) -> None:
        before = len(self.client.written)
        self.connection.data_received(data)
        async with asyncio.timeout(5):
            while not b"".join(self.client.written[before:]).endswith(b"g"):
                await asyncio.sleep(0)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made = Served()
    await made.server.start()
    made.connect()
    yield made
    await made.server.stop()


async def test_a_session_of_prepared_answers_never_makes_the_general_protocol(served: Served) -> None:
    assert not served.opened  # nothing is known of a connection without a request
    for _ in range(3):
        served.connection.data_received(FAST)
    assert served.client.written == [b"head", b"body"] * 3
    assert not served.connection.has_general
    assert served.opened == [served.client]


async def test_the_general_protocol_goes_once_it_is_idle_and_comes_again(served: Served) -> None:
    for _ in range(2):
        await served.ask_general()
        served.connection.data_received(FAST)  # on an idle connection, beside the general protocol
        assert served.client.written[-2:] == [b"head", b"body"]
        assert served.connection.has_general
        served.server._tick()
        assert not served.connection.has_general
        served.connection.data_received(FAST)
    assert served.server.connections == 1
    assert served.opened == [served.client]


async def test_the_general_protocol_stays_while_it_is_needed(served: Served) -> None:
    served.connection.data_received(GENERAL[:9])
    served.server._tick()
    assert served.connection.has_general
    await served.ask_general(GENERAL[9:])
    served.connection.pause_writing()
    served.server._tick()
    assert served.connection.has_general
    served.connection.resume_writing()
    served.server._tick()
    assert not served.connection.has_general


async def test_nothing_overtakes_a_request_or_what_the_client_has_not_taken(served: Served) -> None:
    served.connection.data_received(GENERAL)
    served.connection.data_received(FAST)  # by the general protocol, behind the first
    await served.ask_general(b"")
    async with asyncio.timeout(5):
        while b"".join(served.client.written).count(b"HTTP/1.1 200") < 2:
            await asyncio.sleep(0)
    served.server._tick()
    served.connection.pause_writing()
    served.connection.data_received(FAST)
    assert served.connection.has_general
    assert b"head" not in served.client.written
    served.connection.resume_writing()
    await served.ask_general(b"")


@pytest.mark.parametrize(("is_paused", "end"), [(False, "closed"), (True, "aborted")])
async def test_a_client_that_does_nothing_is_left(served: Served, is_paused: bool, end: str) -> None:
    served.connection.data_received(FAST)
    if is_paused:
        served.connection.pause_writing()
    else:
        served.connection.check(LATER)  # it asked for something since the last check
        assert not served.client.ends
    served.connection.check(2 * LATER)
    served.connection.check(3 * LATER)
    assert served.client.ends == [end]


async def test_a_closed_connection_takes_nothing_and_a_lost_one_is_forgotten(served: Served) -> None:
    assert served.connection.eof_received() is False
    served.client.close()
    served.connection.data_received(FAST)
    served.connection.connection_lost(None)
    served.connection.data_received(FAST)
    assert not served.client.written
    assert served.lost == 1
    assert served.server.connections == 0


async def test_a_server_that_stops_closes_idle_connections_and_finishes_the_others(served: Served) -> None:
    other = Served()
    other.server = served.server
    other.connect()
    other.connection.data_received(GENERAL)
    served.server.finish_connections()
    assert served.client.ends == ["closed"]
    assert not other.client.ends
    await other.ask_general(b"")
    async with asyncio.timeout(5):
        while not other.client.ends:
            await asyncio.sleep(0)
