"""The caching proxy in front of a real server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from edge.cache.freshness import lifetime, may_store
from edge.cache.store import Store
from edge.proxy import CachingProxy


class Upstream:
    """A scripted HTTP server: answers with `headers` and `body`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {"cache-control": "max-age=60", "etag": '"one"'}
        self.body = b"body " * 1000
        self.cut = False
        self.asked: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(request)
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        if f"if-none-match: {self.headers.get('etag')}" in request.lower():
            writer.write(f"HTTP/1.1 304 Not Modified\r\n{head}connection: close\r\n\r\n".encode())
        else:
            status = f"HTTP/1.1 200 OK\r\n{head}content-length: {len(self.body)}\r\nconnection: close\r\n\r\n"
            writer.write(status.encode() + (self.body[:100] if self.cut else self.body))
        writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, str]]:
    made = Upstream()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
async def client(upstream: tuple[Upstream, str], tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    store = Store(tmp_path / "cache", 20_000, 10_000)
    async with httpx.AsyncClient(base_url=upstream[1]) as onward:
        proxy = httpx.ASGITransport(CachingProxy(onward, store, "edge1"))
        async with httpx.AsyncClient(transport=proxy, base_url="http://cdn") as made:
            yield made


async def test_the_second_request_is_answered_from_the_store(
    upstream: tuple[Upstream, str], client: httpx.AsyncClient
) -> None:
    first, second = await client.get("/a"), await client.get("/a")
    assert first.content == second.content == upstream[0].body
    assert first.headers["cache-status"] == "edge1; fwd=uri-miss; stored"
    assert second.headers["cache-status"] == "edge1; hit"
    assert "age" in second.headers
    assert len(upstream[0].asked) == 1
    await client.get("/a?other")
    assert len(upstream[0].asked) == 2


async def test_what_is_stale_is_asked_again_and_not_sent_again(
    upstream: tuple[Upstream, str], client: httpx.AsyncClient
) -> None:
    upstream[0].headers["cache-control"] = "max-age=0"
    await client.get("/a")
    again = await client.get("/a")
    assert again.content == upstream[0].body
    assert again.headers["cache-status"] == "edge1; hit; detail=revalidated"
    upstream[0].headers["etag"], upstream[0].body = '"two"', b"new"
    assert (await client.get("/a")).content == b"new"


@pytest.mark.parametrize(
    "headers",
    [
        {"cache-control": "no-store, max-age=60"},
        {"cache-control": "private"},
        {"cache-control": "max-age=60", "vary": "accept"},
        {"cache-control": "max-age=60", "set-cookie": "a=b"},
        {},
    ],
)
async def test_what_must_not_be_stored_is_not(
    upstream: tuple[Upstream, str], client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    upstream[0].headers = headers
    for _ in range(2):
        assert (await client.get("/a")).content == upstream[0].body
    assert len(upstream[0].asked) == 2


async def test_a_response_cut_short_is_neither_stored_nor_passed_off_as_whole(
    upstream: tuple[Upstream, str], client: httpx.AsyncClient, tmp_path: Path
) -> None:
    upstream[0].cut = True
    with pytest.raises(httpx.HTTPError):
        await client.get("/a")
    assert list((tmp_path / "cache").iterdir()) == []
    upstream[0].cut = False
    assert (await client.get("/a")).content == upstream[0].body


async def test_an_origin_that_is_away_is_said_so(tmp_path: Path) -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as onward:
        proxy = httpx.ASGITransport(CachingProxy(onward, Store(tmp_path, 1000, 1000), "edge1"))
        async with httpx.AsyncClient(transport=proxy, base_url="http://cdn") as client:
            assert (await client.get("/a")).status_code == 502
            assert (await client.post("/a")).status_code == 405
            assert (await client.get("/" + "a" * 9000)).status_code == 414


def put(store: Store, key: str, size: int) -> None:
    incoming = store.incoming()
    incoming.write(bytes(size))
    store.commit(key, incoming, {}, 0.0)


def test_the_store_is_bounded_and_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path, 1000, 600)
    put(store, "a", 400)
    put(store, "b", 400)
    assert store.get("a")
    put(store, "c", 400)
    assert store.get("b") is None
    assert store.get("a")
    put(store, "too big", 601)
    assert store.get("too big") is None
    assert store.size <= 1000
    assert sum(path.stat().st_size for path in tmp_path.glob("*.body")) == store.size


def test_a_crash_leaves_nothing_half(tmp_path: Path) -> None:
    store = Store(tmp_path, 1000, 600)
    put(store, "whole", 100)
    store.incoming().write(b"half")
    (tmp_path / "deadbeef.json").write_text('{"key": "x"')
    again = Store(tmp_path, 1000, 600)
    found = again.get("whole")
    assert found is not None
    assert again.open(found).read() == bytes(100)
    assert len(list(tmp_path.iterdir())) == 2


def test_shared_caches_prefer_s_maxage() -> None:
    assert lifetime({"cache-control": "max-age=5, S-MaxAge=7"}) == 7
    assert lifetime({"cache-control": 'no-cache="x", max-age=5'}) == 0
    assert not may_store("GET", {"authorization": "x"}, 200, {"cache-control": "max-age=5"})
    assert not may_store("GET", {}, 206, {"cache-control": "max-age=5"})
