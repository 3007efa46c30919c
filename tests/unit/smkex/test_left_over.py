"""Bytes behind a response never become the answer to the next request: the connection is closed (RFC 9112 6.3)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpcore
import httpx
import pytest
from certificates import identity
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import LoopbackEdge, until
from scripted_server import CHUNKED, LEFT_OVER, POISON, ScriptedServer, answer

from smkex.client.http.transport import SmkexTransport
from smkex.client.proxy import Proxy, ProxySettings
from smkex.client.proxy.rules import ProxyRoute, Rules
from smkex.http import connection, stream
from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool

NEXT = answer(b"right")
WAYS = ["tcp", "tls", "session", "proxy by sessions", "proxy by tcp"]


def script(parts: list[bytes]) -> ScriptedServer:
    """A server that answers /first with `parts`, and everything else rightly."""
    return ScriptedServer(lambda asked: parts if asked.target == "/first" else [NEXT])


def may_be_used(connection: httpcore.AsyncConnectionInterface) -> bool:
    return not (connection.has_expired() or connection.is_closed())


class Client(httpx.AsyncClient):
    """`pool` is whose connections are reused: its own, or its proxy's."""

    pool: HttpPool


@asynccontextmanager
async def reaching(
    server: ScriptedServer, way: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A client of `server` over what one of `WAYS` names, with connections that are kept."""
    async with AsyncExitStack() as stack:
        transport: httpx.AsyncBaseTransport | None = None
        proxy: str | None = None
        if way in ("tcp", "tls"):
            pool = HttpPool()
            transport = PoolTransport(pool)
            tls = _tls(folder, monkeypatch) if way == "tls" else None
            port = await stack.enter_async_context(server.listening(tls))
            base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        else:
            edge = await stack.enter_async_context(LoopbackEdge(protocol=server.protocol))
            transport = sessions = SmkexTransport(edge.options)
            pool, base = sessions._pooled._pool, f"smkex://127.0.0.1:{edge.port}"
            if way.startswith("proxy"):
                transport, base = None, "http://127.0.0.1"
                rules = Rules(("127.0.0.1",), service_port=edge.port)
                if way == "proxy by tcp":
                    port = await stack.enter_async_context(server.listening())
                    rules, base = Rules((), others_direct=True), f"http://127.0.0.1:{port}"
                running = Proxy(ProxySettings(port=0, rules=rules, connect=edge.options), lambda event: None)
                await running.start()
                stack.push_async_callback(running.stop)
                proxy = f"http://127.0.0.1:{running.port}"
                pool = running._upstream.pool(
                    ProxyRoute.DIRECT if way == "proxy by tcp" else ProxyRoute.SESSION
                )
        client = Client(transport=transport, proxy=proxy, base_url=base, trust_env=False)
        client.pool = pool
        yield await stack.enter_async_context(client)


def _tls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    certificate, key = identity(folder, "origin", "127.0.0.1")
    trusts = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(stream, "verifying_context", lambda: trusts)
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(certificate, key)
    return serves


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("method", "parts"), LEFT_OVER.values(), ids=LEFT_OVER)
async def test_what_is_left_over_answers_no_other_request(
    method: str, parts: list[bytes], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = script(parts)
    async with reaching(server, way, tmp_path, monkeypatch) as client:
        for _ in range(3):
            await client.request(method, "/first")
            for n in range(2):
                assert (await client.get(f"/{n}")).content == b"right"
    assert server.connections > 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_connection_with_nothing_left_over_is_reused(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer(lambda asked: [CHUNKED if asked.target == "/0" else answer(bytes(300_000))])
    async with reaching(server, way, tmp_path, monkeypatch) as client:
        for n in range(6):
            assert (await client.get(f"/{n % 3}")).status_code == 200
    assert server.connections == 1


@pytest.mark.parametrize("way", WAYS)
async def test_what_arrives_while_a_connection_is_idle_closes_it(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = script([answer(b"body")])
    async with reaching(server, way, tmp_path, monkeypatch) as client:
        assert (await client.get("/first")).content == b"body"
        server.say_later(POISON)
        await until(lambda: not any(map(may_be_used, client.pool.connections)))
        assert (await client.get("/next")).content == b"right"
    assert server.connections == 2


async def test_after_a_head_that_announces_a_body_a_connection_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    server = script([answer(length=9)])
    async with server.listening() as port, httpx.AsyncClient(transport=PoolTransport(HttpPool())) as client:
        url = f"http://127.0.0.1:{port}"
        await client.head(f"{url}/first")
        await client.get(f"{url}/next")
        assert server.connections == 2
        monkeypatch.setattr(connection, "UNEXPECTED_BODY_DELAY", 0.0)
        await client.head(f"{url}/first")
        await client.get(f"{url}/next")
        assert server.connections == 2


async def test_a_request_cancelled_before_its_connection_was_opened_gives_its_place_back() -> None:
    server = script([NEXT])
    async with (
        server.listening() as port,
        httpx.AsyncClient(transport=PoolTransport(HttpPool(connections=1))) as client,
    ):
        url = f"http://127.0.0.1:{port}/next"
        for turns in range(1, 40):
            asking = [asyncio.create_task(client.get(url)) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        assert (await asyncio.wait_for(client.get(url), 5)).content == b"right"


async def test_a_body_that_is_not_read_to_its_end_closes_the_connection() -> None:
    server = script([answer(bytes(500_000))])
    async with server.listening() as port, httpx.AsyncClient(transport=PoolTransport(HttpPool())) as client:
        url = f"http://127.0.0.1:{port}"
        async with client.stream("GET", f"{url}/first") as response:
            assert response.status_code == 200
        assert (await client.get(f"{url}/next")).content == b"right"
    assert server.connections == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
        b"rubbish\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    ],
)
async def test_what_is_no_response_is_an_error_of_the_server(sent: bytes) -> None:
    server = script([sent])
    async with server.listening() as port, httpx.AsyncClient(transport=PoolTransport(HttpPool())) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{port}/first")
        assert (await client.get(f"http://127.0.0.1:{port}/next")).content == b"right"


async def test_interim_responses_precede_the_final_one() -> None:
    server = script([b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", NEXT])
    async with server.listening() as port, httpx.AsyncClient(transport=PoolTransport(HttpPool())) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/first")).content == b"right"


async def test_an_idle_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    server = script([NEXT])
    pool = HttpPool(keep=0.01)
    async with server.listening() as port, httpx.AsyncClient(transport=PoolTransport(pool)) as client:
        await client.get(f"http://127.0.0.1:{port}/a")
        await until(lambda: pool.connections[0].has_expired())
        await client.get(f"http://127.0.0.1:{port}/a")
    assert server.connections == 2


async def test_errors_are_those_of_httpx() -> None:
    async with httpx.AsyncClient(transport=PoolTransport(HttpPool(connections=1)), timeout=30) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")
        async with script([NEXT[:-1]]).listening() as port:
            url = f"http://127.0.0.1:{port}"
            async with client.stream("GET", f"{url}/first"):
                with pytest.raises(httpx.PoolTimeout):
                    await client.get(f"{url}/next", timeout=httpx.Timeout(30, pool=0.05))
            with pytest.raises(
                httpx.ReadTimeout
            ):  # of its body, where the machine is not too busy for the head
                await client.get(f"{url}/first", timeout=httpx.Timeout(30, read=0.05))


PIECES = st.lists(
    st.sampled_from([b"", b"\r\n", b"x", POISON, POISON[:30], b"0\r\n\r\n"]), min_size=1, max_size=4
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([answer(b"body"), answer(b""), CHUNKED]), PIECES, st.booleans())
def test_whatever_follows_a_response_the_next_answer_is_its_own(
    first: bytes, behind: list[bytes], together: bool
) -> None:
    async def play() -> int:
        extra = b"".join(behind)
        server = script([first + extra] if together else [first, *behind])
        async with server.listening() as port:
            pool = HttpPool()
            url = httpcore.URL(scheme="http", host="127.0.0.1", port=port, target="/first")
            for target in ("/first", "/next"):
                response = await pool.request("GET", httpcore.URL(**{**_parts(url), "target": target}))
                if target == "/next":
                    assert response.content == b"right"
                elif extra:
                    await until(lambda: not any(map(may_be_used, pool.connections)))
            await pool.aclose()
        return server.connections if extra else 2

    assert asyncio.run(play()) == 2


def _parts(url: httpcore.URL) -> dict[str, object]:
    return {"scheme": url.scheme, "host": url.host, "port": url.port}
