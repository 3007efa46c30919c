"""The fast path answers as the general path does, and only what needs no decision."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cdn import Cdn, cdn

from edge.cache.storage.store import ResponseStore
from edge.proxy.fast_path import PARSED_HEADS_LIMIT
from smkex.http.server.http_server import HttpServer
from smkex.http.server.server_connection import ServerConnection

SIMPLE = b"GET /a HTTP/1.1\r\nHost: cdn\r\n%s\r\n"


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Cdn]:
    async with cdn(tmp_path / "cache") as made:
        made.origin.headers = [
            ("cache-control", "max-age=60"),
            ("etag", '"1"'),
            ("content-type", "text/plain"),
            ("cache-tag", "secret"),
            ("age", "7"),
            ("vary", "accept-encoding"),
        ]
        await made.get(accept_encoding="gzip")
        await made.settled()
        made.clock.now += 3
        await made.get(accept_encoding="gzip")  # into memory
        yield made


def parsed(response: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    assert len(dict(headers)["x-request-id"]) == 32
    return int(status.split()[1]), sorted(pair for pair in headers if pair[0] != "x-request-id"), body


@pytest.mark.parametrize("more", [b"", b"User-Agent: x\r\nAccept: */*\r\n", b"Connection: Keep-Alive\r\n"])
async def test_it_says_what_the_general_path_says(it: Cdn, more: bytes) -> None:
    response = it.fast(SIMPLE % (b"Accept-Encoding: gzip\r\n" + more))
    assert response is not None
    general = await it.get(accept_encoding="gzip")
    expected = sorted((name, value) for name, value in general.headers.multi_items())
    assert parsed(response) == (200, expected, b"body")
    assert dict(expected)["age"] == "10"
    it.clock.now += 1
    later = it.fast(SIMPLE % b"Accept-Encoding: gzip\r\n")
    assert later is not None
    assert dict(parsed(later)[1])["age"] == "11"


@pytest.mark.parametrize(
    "data",
    [
        SIMPLE % b"",  # another variant
        SIMPLE % b"Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n",
        SIMPLE % b'Accept-Encoding: gzip\r\nIf-None-Match: "1"\r\n',
        SIMPLE % b"Accept-Encoding: gzip\r\nCache-Control: no-cache\r\n",
        SIMPLE % b"Accept-Encoding: gzip\r\nConnection: close\r\n",
        SIMPLE % b"Accept-Encoding: gzip\r\nHost: other\r\n",
        SIMPLE % b"Accept-Encoding: gzip\r\nContent-Length: 3\r\n",
        SIMPLE % b"Accept-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        SIMPLE % b"Accept-Encoding: gzip\r\nUpgrade: h2c\r\n",
        SIMPLE % (b"Accept-Encoding: gzip\r\n" + b"x: y\r\n" * 2000),
        (SIMPLE % b"Accept-Encoding: gzip\r\n") * 2,
        (SIMPLE % b"Accept-Encoding: gzip\r\n")[:-1],
        b"HEAD /a HTTP/1.1\r\nHost: cdn\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /a HTTP/1.0\r\nHost: cdn\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /a HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost:\r\nHost: cdn\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /b HTTP/1.1\r\nHost: cdn\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /a  HTTP/1.1\r\nHost: cdn\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: cdn\r\nAccept-Encoding : gzip\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: cdn\r\nAccept-Encoding: gzip\nx: y\r\n\r\n",
    ],
)
async def test_whatever_needs_a_decision_is_left_to_the_general_path(it: Cdn, data: bytes) -> None:
    assert it.fast(data) is None
    # and what came before does not change what comes after
    assert it.fast(SIMPLE % b"Accept-Encoding: gzip\r\n") is not None


def _is_prepared(it: Cdn) -> bool:
    """Whether what was last asked is answered without a look-up in the store."""
    asked = list(it.proxy.fast_path._asked.values())[-1]
    return asked.prepared is not None and asked.prepared.since <= it.clock.now < asked.prepared.until


async def test_what_is_stale_or_removed_is_not_given(it: Cdn) -> None:
    simple = SIMPLE % b"Accept-Encoding: gzip\r\n"
    it.clock.now += 60
    assert it.fast(simple) is None
    it.clock.now -= 60
    assert it.fast(simple) is not None
    await it.store.remove("cdn /a")
    assert it.fast(simple) is None


async def test_what_another_worker_invalidates_is_not_given(it: Cdn, tmp_path: Path) -> None:
    simple = SIMPLE % b"Accept-Encoding: gzip\r\n"
    it.clock.now += 0.5
    assert it.fast(simple) is not None
    assert _is_prepared(it)
    other = ResponseStore(tmp_path / "cache", 50_000_000, 20_000_000)
    await other.invalidate(["cdn /a"])
    assert it.fast(simple) is None
    other.close()


async def test_a_clock_that_is_set_back_renews_what_was_prepared(it: Cdn) -> None:
    simple = SIMPLE % b"Accept-Encoding: gzip\r\n"
    it.clock.now += 0.5
    for now, age in ((it.clock.now, "10"), (it.clock.now + 5, "15"), (it.clock.now + 0.8, "11")):
        it.clock.now = now
        response = it.fast(simple)
        assert response is not None
        assert dict(parsed(response)[1])["age"] == age
        assert _is_prepared(it)


async def test_what_was_read_from_a_file_is_kept_in_memory_and_goes_with_its_url(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache") as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        it.origin.body = bytes(100_000)
        await it.get()
        await it.settled()
        await it.get()  # into memory, without its body
        held = it.store._memory.bytes
        it.clock.now += 0.5
        request = b"GET /a HTTP/1.1\r\nHost: cdn\r\n\r\n"
        pieces = it.proxy.fast_path.answer(request)
        assert pieces is not None
        again = it.proxy.fast_path.answer(request)
        assert again is not None
        assert pieces[1] is again[1]  # not copied
        assert it.store._memory.bytes == held + 100_000
        await it.store.remove("cdn /a")
        assert it.proxy.fast_path.answer(request) is None
        assert it.store._memory.bytes == 0
        assert all(not one.prepared or not one.prepared.body for one in it.proxy.fast_path._asked.values())


async def test_the_same_words_give_the_same_answer_and_what_is_remembered_of_words_is_bounded(
    it: Cdn,
) -> None:
    def asks(number: int) -> bytes:
        return SIMPLE % (b"Accept-Encoding: gzip\r\nUser-Agent: %d\r\n" % number)

    first = it.fast(asks(0))
    assert first is not None
    for number in [*range(PARSED_HEADS_LIMIT + 10), 0]:
        again = it.fast(asks(number))
        assert again is not None
        assert again != first  # each has an id of its own
        assert parsed(again) == parsed(first)
    assert len(it.proxy.fast_path._asked) <= PARSED_HEADS_LIMIT
    assert it.fast(SIMPLE % b"Accept-Encoding: br\r\nUser-Agent: 0\r\n") is None


class Recorder(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def is_answering(connection: ServerConnection) -> bool:
    general = connection._general
    return general is not None and general.cycle is not None and not general.cycle.response_complete


async def test_fast_path_and_other_requests_take_turns_on_one_session(it: Cdn) -> None:
    server = HttpServer(it.proxy, date=False, fast_path=it.proxy.fast_path.answer)
    await server.start()
    connection, transport = server.create_protocol(), Recorder()
    assert isinstance(connection, ServerConnection)
    connection.connection_made(transport)
    simple = SIMPLE % b"Accept-Encoding: gzip\r\n"
    ranged = SIMPLE % b"Accept-Encoding: gzip\r\nRange: bytes=1-2\r\n"

    async def answers(data: bytes, count: int) -> list[bytes]:
        transport.written = b""
        connection.data_received(data)
        async with asyncio.timeout(5):
            while transport.written.count(b"HTTP/1.1 ") < count or is_answering(connection):
                await asyncio.sleep(0.001)
        return [part[:3] for part in transport.written.split(b"HTTP/1.1 ")[1:]]

    before = it.proxy.fast_path.hits
    assert await answers(ranged, 1) == [b"206"]
    assert await answers(simple, 1) == [b"200"]
    assert it.proxy.fast_path.hits == before + 1
    # behind a request that is still being answered nothing overtakes
    connection.data_received(ranged)
    assert await answers(simple, 2) == [b"206", b"200"]
    assert await answers(simple[:20], 0) == []
    assert await answers(simple[20:], 1) == [b"200"]
    assert it.proxy.fast_path.hits == before + 1
    await server.stop()


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
@pytest.mark.parametrize("separate", [False, True], ids=["one packet", "two packets"])
@pytest.mark.parametrize("range_", [b"", b"Range: bytes=1-2\r\n"], ids=["fast path", "general path"])
async def test_a_hit_before_garbage_is_answered_before_the_error(
    it: Cdn, range_: bytes, separate: bool, more: bytes
) -> None:
    server = HttpServer(it.proxy, date=False, fast_path=it.proxy.fast_path.answer)
    await server.start()
    connection, transport = server.create_protocol(), Recorder()
    connection.connection_made(transport)
    request = SIMPLE % (b"Accept-Encoding: gzip\r\n" + range_ + more)
    for data in (request, b"\x00garbage") if separate else (request + b"\x00garbage",):
        connection.data_received(data)
    async with asyncio.timeout(5):
        while not transport.closed:
            await asyncio.sleep(0.001)
    expected = [b"206" if range_ else b"200", *([] if more else [b"400"])]
    assert [part[:3] for part in transport.written.split(b"HTTP/1.1 ")[1:]] == expected
    await server.stop()


async def test_responses_kept_ready_count_as_memory(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache", memory_limit=200_000) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        it.origin.body = bytes(10_000)
        paths = [f"/{number}" for number in range(30)]
        for path in paths:
            await it.get(path)
            await it.settled()
            await it.get(path)  # into memory
            assert it.fast(f"GET {path} HTTP/1.1\r\nHost: cdn\r\n\r\n".encode())
        there = [entry for path in paths for entry in it.store._memory.get(f"cdn {path}")]
        assert there
        assert (
            sum(
                len(entry.body or b"") + len(entry.prepared.head if entry.prepared else b"")
                for entry in there
            )
            < 200_000
        )
        asked = list(it.proxy.fast_path._asked.values())
        assert len(asked) == len(paths)  # and none of what was evicted is held by what was asked
        assert sum(len(one.prepared.body) for one in asked if one.prepared is not None) < 200_000
