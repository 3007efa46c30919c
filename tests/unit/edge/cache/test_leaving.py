"""A client that leaves takes nothing more from the origin, however large its answer, however silent the origin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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

    def __init__(self) -> None:
        super().__init__()
        self.given = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.given += bytes(data[:1000])

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


@dataclass
class SilentOrigin(httpx.AsyncBaseTransport):
    """Says nothing, or a head and nothing more, until `gate` is set; counts requests and cancellations."""

    headers: dict[str, str]
    head_at_once: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    cancelled: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked += 1
        if not self.head_at_once:
            await self._wait()
        return httpx.Response(200, headers=self.headers, stream=_Waiting(self))

    async def _wait(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class _Waiting(httpx.AsyncByteStream):
    def __init__(self, origin: SilentOrigin) -> None:
        self._origin = origin

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"bo"
        await self._origin._wait()
        yield b"dy"


class Visit:
    """One client's connection."""

    def __init__(self, server: HttpServer) -> None:
        self.protocol, self.client = server.create_protocol(), Client()
        self.protocol.connection_made(self.client)

    def ask(self, request: bytes) -> None:
        self.protocol.data_received(request)

    def leave(self) -> None:
        self.client.close()
        self.protocol.connection_lost(None)


@asynccontextmanager
async def serving(it: Cdn, origin: SilentOrigin) -> AsyncIterator[HttpServer]:
    it.origin.handle_async_request = origin.handle_async_request  # type: ignore[method-assign]
    server = HttpServer(it.proxy, date=False)
    await server.start()
    yield server
    origin.gate.set()
    await it.settled()
    await server.stop()


FRESH = {"cache-control": "max-age=60", "content-length": "4"}
GET = b"GET /a HTTP/1.1\r\nhost: cdn\r\n\r\n"
RANGED = b"GET /a HTTP/1.1\r\nhost: cdn\r\nrange: bytes=99999999-\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\nhost: cdn\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "head_at_once", "headers"),
    [
        (GET, False, FRESH),
        (GET * 3, False, FRESH),
        (RANGED, False, FRESH),
        (HEAD, False, FRESH),
        (RANGED, True, FRESH),
        (GET, True, {"cache-control": "private"}),
        (GET * 2, True, {"cache-control": "no-store"}),
    ],
    ids=[
        "a fetch", "with others behind it", "a far range", "HEAD", "the rest of a far range", "the rest of a page",
        "the rest of a page, with another behind it",
    ],
)  # fmt: skip
async def test_a_silent_origin_is_not_waited_for_without_clients(
    it: Cdn, caplog: pytest.LogCaptureFixture, request_: bytes, head_at_once: bool, headers: dict[str, str]
) -> None:
    origin = SilentOrigin(headers, head_at_once)
    async with serving(it, origin) as server:
        visit = Visit(server)
        visit.ask(request_)
        await until(lambda: origin.asked and (not head_at_once or b"bo" in visit.client.given[-4:]))
        visit.leave()
        await until(lambda: not server._state.tasks and not it.proxy.fetches.busy, 2)
        assert (origin.asked, origin.cancelled) == (1, 1)
        assert it.proxy.fetches.may_revalidate("cdn /a"), "that is no failure of the origin"
    assert "Exception" not in caplog.text
    assert "ASGI" not in caplog.text


async def test_a_fetch_ends_with_its_last_client(it: Cdn) -> None:
    origin = SilentOrigin(FRESH)
    async with serving(it, origin) as server:
        first, second, third = (Visit(server) for _ in range(3))
        for visit in (first, second):
            visit.ask(GET)
        await until(lambda: origin.asked)
        first.leave()
        await asyncio.sleep(0.05)
        assert origin.cancelled == 0, "the second one waits"
        third.ask(GET)
        await asyncio.sleep(0.05)
        second.leave()
        await asyncio.sleep(0.05)
        assert (origin.asked, origin.cancelled) == (1, 0), "the third one waits"
        origin.gate.set()
        await until(lambda: third.client.given.endswith(b"body"))


async def test_who_comes_after_an_abandoned_fetch_asks_anew(it: Cdn) -> None:
    origin = SilentOrigin(FRESH)
    async with serving(it, origin) as server:
        first, second = Visit(server), Visit(server)
        first.ask(GET)
        await until(lambda: origin.asked)
        first.leave()
        second.ask(GET)
        await until(lambda: origin.asked == 2)
        origin.gate.set()
        await until(lambda: second.client.given.endswith(b"body"))


async def test_what_is_being_stored_is_fetched_to_its_end(it: Cdn) -> None:
    origin = SilentOrigin(FRESH, head_at_once=True)
    async with serving(it, origin) as server:
        visit = Visit(server)
        visit.ask(GET)
        await until(lambda: visit.client.given.endswith(b"bo"))
        visit.leave()
        await until(lambda: not server._state.tasks)
        origin.gate.set()
        await it.settled()
        assert origin.cancelled == 0
        assert it.store.find("cdn /a", {}) is not None


async def test_what_was_invalidated_meanwhile_is_not_fetched_to_its_end(it: Cdn) -> None:
    origin = SilentOrigin(FRESH, head_at_once=True)
    async with serving(it, origin) as server:
        visit = Visit(server)
        visit.ask(GET)
        await until(lambda: visit.client.given.endswith(b"bo"))
        await it.store.invalidate(["cdn /a"])
        visit.leave()
        await until(lambda: not server._state.tasks and not it.proxy.fetches.busy, 2)
        assert origin.cancelled == 1


async def test_a_revalidation_in_the_background_has_no_client_to_lose(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "max-age=60, stale-while-revalidate=60")]
    await it.get()
    await it.settled()
    it.clock.now += 70
    origin = SilentOrigin(FRESH)
    async with serving(it, origin) as server:
        visit = Visit(server)
        visit.ask(GET)
        await until(lambda: origin.asked and visit.client.given.endswith(b"body"))
        visit.leave()
        await asyncio.sleep(0.05)
        assert origin.cancelled == 0


async def test_an_unsafe_request_is_heard_to_its_head_and_invalidates(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "max-age=60")]
    await it.get()
    await it.settled()
    assert it.store.find("cdn /a", {}) is not None
    origin = SilentOrigin({})
    async with serving(it, origin) as server:
        visit = Visit(server)
        visit.ask(b"POST /a HTTP/1.1\r\nhost: cdn\r\ncontent-length: 2\r\n\r\nab")
        await until(lambda: origin.asked)
        visit.leave()
        origin.gate.set()
        await until(lambda: not server._state.tasks)
        assert origin.cancelled == 0
        assert it.store.find("cdn /a", {}) is None


async def test_a_client_that_left_before_its_request_began_asks_nothing(it: Cdn) -> None:
    origin = SilentOrigin(FRESH)
    async with serving(it, origin) as server:
        visit = Visit(server)
        visit.ask(GET)
        visit.leave()
        await until(lambda: not server._state.tasks and not it.proxy.fetches.busy, 2)
