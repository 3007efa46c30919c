"""What clients and origins write, through real sockets on both sides: keyed, forwarded and passed back unchanged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from one_service import one_service
from scripted_server import Asked, ScriptedServer, answer
from served_cache import Worker, served

from edge.cache.storage.store import ResponseStore
from edge.http.request import url_cache_key
from edge.origins.assembly import single_origin
from edge.proxy.caching_proxy import CachingProxy
from smkex.http.server.http_server import HttpServer

FRESH = "cache-control: max-age=600"


def named(status: int, response: bytes) -> bool:
    return response.startswith(b"HTTP/1.1 %d " % status)


async def exchange(worker: Worker, request: bytes) -> bytes:
    """Send the octets of one request and return those of the response, until the edge closes."""
    url = worker.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            response = await reader.read()
            while worker.proxy.fetches.busy:  # what is to be stored is
                await asyncio.sleep(0.001)
            return response
    finally:
        writer.close()


def get(target: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    head = [b"%s %s HTTP/1.1" % (method, target), b"Host: cdn", b"Connection: close", *lines]
    return b"\r\n".join(head) + b"\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
async def test_octets_of_field_values_go_through_both_ways(tmp_path: Path, method: bytes) -> None:
    back = b"x-name: caf\xc3\xa9 \xff"
    head = b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\n" + back + b"\r\ncontent-length: 0\r\n\r\n"
    origin = ScriptedServer(lambda asked: [head])
    async with served(tmp_path, origin) as (one,):
        response = await exchange(one, get(b"/a", b"Cookie: n=\xe9\xff", b"Content-Length: 0", method=method))
        assert named(200, response)
        assert back in response
        assert origin.asked[0].fields["cookie"].encode("latin-1") == b"n=\xe9\xff"


async def test_an_etag_of_any_octets_is_validated(tmp_path: Path) -> None:
    def script(asked: Asked) -> list[bytes]:
        if "if-none-match" in asked.fields:
            return [b'HTTP/1.1 304 Not Modified\r\netag: "\xe9"\r\ncache-control: max-age=600\r\n\r\n']
        return [
            b'HTTP/1.1 200 OK\r\netag: "\xe9"\r\ncache-control: max-age=0\r\ncontent-length: 4\r\n\r\nbody'
        ]

    async with served(tmp_path, ScriptedServer(script)) as (one,):
        for _ in range(3):
            response = await exchange(one, get(b"/a"))
            assert named(200, response)
            assert response.endswith(b"\r\n\r\nbody")
        assert b"hit" in response


@pytest.mark.parametrize("value", [b"a\x01b", b"a\x7f", b"\x1b[0m"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_a_control_character_of_the_origin_is_a_502_on_every_way(
    tmp_path: Path, value: bytes, method: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\nx: " + value + b"\r\ncontent-length: 0\r\n\r\n"
    async with served(tmp_path, ScriptedServer(lambda asked: [head])) as (one,):
        response = await exchange(one, get(b"/a", b"Content-Length: 0", method=method))
        assert named(502, response)
        assert b"\r\ndate: " in response


@pytest.mark.parametrize(
    ("asked", "also", "purged"),
    [
        (b"/caf%c3%a9", b"/caf%C3%A9", "https://cdn/caf\u00e9"),
        (b"/~x", b"/%7Ex", "https://cdn/%7ex"),
        (b"/x", b"/%2e/x", "https://CDN.:443/y/../x"),
        (b"/a?", b"/./a?", "smkex://cdn/a?"),
        (b"http://cdn/a", b"HTTP://CDN:80/a", "http://cdn/a"),
        (b"http://cdn", b"/", "http://cdn"),
    ],
)
async def test_one_url_is_one_key_however_it_is_written(
    tmp_path: Path, asked: bytes, also: bytes, purged: str
) -> None:
    origin = ScriptedServer(lambda asked: [answer("body", FRESH)])
    async with served(tmp_path, origin) as (one,):
        await exchange(one, get(asked))
        assert b"; stored" not in await exchange(one, get(also))
        assert len(origin.asked) == 1
        assert await one.store.remove(url_cache_key(purged)) == 1


async def test_an_empty_query_is_another_url(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer(asked.target, FRESH)])
    async with served(tmp_path, origin) as (one,):
        for target in (b"/a", b"/a?", b"/a", b"/a?"):
            assert (await exchange(one, get(target))).endswith(b"\r\n\r\n" + target)
        assert len(origin.asked) == 2


async def test_the_authority_of_the_target_is_keyed_and_forwarded(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer(asked.fields["host"], FRESH)])
    async with served(tmp_path, origin) as (one,):
        assert (await exchange(one, get(b"http://right.lab/a"))).endswith(b"\r\n\r\nright.lab")
        assert await one.store.remove(url_cache_key("http://right.lab/a")) == 1


@pytest.mark.parametrize("host", [b"cdn:80:80", b"user@cdn", b"a b", b"[::1", b"<script>"])
async def test_an_invalid_host_reaches_neither_store_nor_origin(tmp_path: Path, host: bytes) -> None:
    origin = ScriptedServer(lambda asked: [answer("body", FRESH)])
    async with served(tmp_path, origin) as (one,):
        request = b"GET /a HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host
        assert named(400, await exchange(one, request))
        assert not origin.asked
        assert one.proxy.fast_path.answer(request.replace(b"Connection: close\r\n", b"")) is None


async def test_white_space_around_values_changes_nothing_on_the_fast_path(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer("body", FRESH, "vary: accept-language")])
    async with served(tmp_path, origin) as (one,):
        await exchange(one, get(b"/a", b"Accept-Language: de"))
        await exchange(one, get(b"/a", b"Accept-Language: de \t"))
        request = b"GET /a HTTP/1.1\r\nHost: \tcdn \r\nAccept-Language: \t de \t\r\n\r\n"
        assert one.proxy.fast_path.answer(request) is not None
        assert len(origin.asked) == 1


@pytest.mark.parametrize(
    "value", [b"bytes=\xb2-", b"bytes=\xb2-5", b"bytes=+1-", b"bytes=99999999999999999999-"]
)
async def test_a_range_of_odd_digits_is_no_failure(tmp_path: Path, value: bytes) -> None:
    async with served(tmp_path, ScriptedServer(lambda asked: [answer("body", FRESH)])) as (one,):
        assert named(200, await exchange(one, get(b"/a", b"Range: " + value)))


async def test_forwarding_fields_are_the_edge_s_own(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer("body", "cache-control: no-store")])
    sent = [
        "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X_Forwarded_Host",
        "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
        "Forwarded", "X-Real-IP", "True-Client-IP", "X-Host", "X-Original-Host",
    ]  # fmt: skip
    async with served(tmp_path, origin) as (one,):
        for method in (b"GET", b"POST"):
            lines = [f"{name}: evil".encode() for name in sent]
            await exchange(one, get(b"/a", b"Content-Length: 0", *lines, method=method))
            fields = origin.asked[-1].fields
            assert "evil" not in fields.values()
            assert fields["x-forwarded-for"] == "127.0.0.1"
            assert fields["x-forwarded-host"] == "cdn"
            assert fields["forwarded"] == 'for=127.0.0.1;host="cdn";proto=https'


async def test_options_stop_where_max_forwards_says(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer("body")])
    async with served(tmp_path, origin) as (one,):
        for target in (b"/a", b"*"):
            response = await exchange(one, get(target, b"Max-Forwards: 0", method=b"OPTIONS"))
            assert named(204, response)
            assert b"allow: GET" in response
            assert b"content-length" not in response
        assert not origin.asked
        await exchange(one, get(b"/a", b"Max-Forwards: 2", method=b"OPTIONS"))
        assert origin.asked[0].fields["max-forwards"] == "1"


async def test_a_forwarded_response_has_a_date_and_a_204_no_length(tmp_path: Path) -> None:
    head = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
    async with served(tmp_path, ScriptedServer(lambda asked: [head])) as (one,):
        for method in (b"GET", b"DELETE"):
            response = await exchange(one, get(b"/a", method=method))
            assert named(204, response)
            assert b"\r\ndate: " in response
            assert b"content-length" not in response


async def test_http_1_0_gets_no_transfer_coding(tmp_path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    async with served(tmp_path, ScriptedServer(lambda asked: [chunked])) as (one,):
        response = await exchange(one, b"GET /a HTTP/1.0\r\nHost: cdn\r\n\r\n")
        assert named(200, response)
        assert b"transfer-encoding" not in response
        assert response.endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_kept_connections_that_die_on_use_are_retried_on_a_new_one(tmp_path: Path, method: str) -> None:
    """The origin answers the first request of each connection and closes at the second."""
    gate = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await gate.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with proxied(tmp_path, serve) as client:
        first = [asyncio.create_task(client.post(f"/{n}")) for n in range(6)]
        await asyncio.sleep(0)
        gate.set()
        assert {response.status_code for response in await asyncio.gather(*first)} == {200}
        for _ in range(3):
            assert (await client.request(method, "/a")).status_code == 200


async def test_an_answer_with_a_length_and_a_coding_is_framed_by_the_coding(tmp_path: Path) -> None:
    fields = b"content-length: 2\r\ntransfer-encoding: chunked\r\n"
    both = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n4\r\nbody\r\n0\r\n\r\n"
    origin = ScriptedServer(lambda asked: [both])
    async with served(tmp_path, origin) as (one,):
        for method in (b"GET", b"POST"):
            response = await exchange(one, get(b"/a", b"Content-Length: 0", method=method))
            assert named(200, response)
            assert b"content-length: 2" not in response
            assert response.endswith(b"4\r\nbody\r\n0\r\n\r\n")
        assert origin.connections == 2


@pytest.mark.parametrize("closes", [True, False])
async def test_an_early_answer_of_the_origin_is_passed_on(tmp_path: Path, closes: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlarge")
        await writer.drain()
        if closes:
            writer.close()

    async with proxied(tmp_path, serve) as client:
        response = await client.post("/a", content=bytes(5_000_000))
        assert (response.status_code, response.content) == (413, b"large")


async def test_a_path_of_the_upstream_url_comes_before_the_target(tmp_path: Path) -> None:
    targets: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        targets.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    for base in ("/base", "/base/"):
        async with proxied(tmp_path / base.replace("/", "_"), serve, base) as client:
            await client.get("/t?x")
    assert targets == [b"/base/t?x"] * 2


@asynccontextmanager
async def proxied(folder: Path, serve: object, base: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A client of a caching proxy before an origin that `serve` is for each connection."""
    origin = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    store = ResponseStore(folder, 1_000_000, 1_000_000)
    upstream = single_origin(f"http://127.0.0.1:{origin.sockets[0].getsockname()[1]}{base}", "edge1")
    proxy = CachingProxy(one_service(upstream), store, "edge1")
    server = HttpServer(proxy, date=False)
    await server.start()
    listening = await asyncio.get_running_loop().create_server(server.create_protocol, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield client
    finally:
        listening.close()
        await server.stop()
        await proxy.fetches.stop()
        await upstream.close()
        store.close()
        origin.close()
