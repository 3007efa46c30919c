"""Programs without session support reach an edge through the proxy, over real sockets, or receive the reason."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from http_edge import LONG, http_edge
from loopback import LoopbackEdge, until

from smkex.client.events import Event, Failed, SessionEnded, SessionOpened, WentDirect
from smkex.client.proxy import Proxy, ProxySettings
from smkex.client.proxy.credentials import Credentials
from smkex.client.proxy.rules import ProxyRoute, RequestRefused, Rules


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with http_edge() as edge:
        yield edge


class Running:
    """A proxy in front of `edge`, and its events."""

    def __init__(self, edge: LoopbackEdge, **settings: Any) -> None:
        rules = settings.pop("rules", Rules(("127.0.0.1",), service_port=edge.port))
        self.events: list[Event] = []
        self.proxy = Proxy(
            ProxySettings(port=0, rules=rules, connect=edge.options, **settings), self.events.append
        )

    async def __aenter__(self) -> "Running":
        await self.proxy.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.proxy.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    def client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(proxy=httpx.Proxy(self.url, **options), trust_env=False)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.proxy.port)

    def failures(self) -> list[str]:
        return [event.error for event in self.events if isinstance(event, Failed)]


@pytest.fixture
async def running(edge: LoopbackEdge) -> AsyncIterator[Running]:
    async with Running(edge) as running:
        yield running


# --- absolute form


async def test_requests_go_by_one_pooled_session(running: Running) -> None:
    async with running.client() as client:
        for n in range(3):
            answer = await client.get(f"http://127.0.0.1/{n}")
            assert answer.text == f"GET /{n} 127.0.0.1 1.1 sennit\n"
            assert answer.headers["via"] == "1.1 sennit"
    opened = [event for event in running.events if isinstance(event, SessionOpened)]
    assert len(opened) == 1
    assert [path.interface for path in opened[0].report.paths] == ["lo", "lo"]


async def test_many_requests_at_once_are_answered_by_as_many_sessions_as_allowed(edge: LoopbackEdge) -> None:
    async with Running(edge, sessions=3) as running, running.client() as client:
        answers = await asyncio.gather(*(client.get(f"http://127.0.0.1/{n}") for n in range(12)))
        assert [answer.status_code for answer in answers] == [200] * 12
        assert 1 <= len([event for event in running.events if isinstance(event, SessionOpened)]) <= 3


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_go_up(running: Running, chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"y" * 100_000

    async with running.client() as client:
        content = parts() if chunked else b"y" * 1_000_000
        answer = await client.post("http://127.0.0.1/up", content=content)
        assert answer.content.endswith(b"\n" + b"y" * 1_000_000)


async def test_what_comes_chunked_and_what_is_long_comes_whole(running: Running) -> None:
    async with running.client() as client:
        assert (await client.get("http://127.0.0.1/chunked")).text == "part" * 3
        assert len((await client.get("http://127.0.0.1/long")).content) == LONG
        assert (await client.head("http://127.0.0.1/long")).headers["content-length"] == str(LONG)


async def test_headers_of_the_hop_and_credentials_go_no_further(running: Running) -> None:
    async with running.client() as client:
        asked = {"connection": "x-mine", "x-mine": "1", "proxy-authorization": "Basic eA==", "x-other": "1"}
        names = (await client.get("http://127.0.0.1/headers", headers=asked)).text.split()
    assert "x-other" in names
    assert not {"x-mine", "connection", "proxy-authorization", "proxy-connection"} & set(names)


async def test_a_response_that_breaks_off_does_not_look_whole(running: Running) -> None:
    async with running.client() as client:
        with pytest.raises(httpx.TransportError):
            await client.get("http://127.0.0.1/broken")
    assert running.failures() == ["RemoteProtocolError"]


async def test_a_session_that_ended_meanwhile_is_opened_again(edge: LoopbackEdge, running: Running) -> None:
    async with running.client() as client:
        await client.get("http://127.0.0.1/1")
        edge.session.abort()
        await until(lambda: any(isinstance(event, SessionEnded) for event in running.events))
        assert (await client.get("http://127.0.0.1/2")).status_code == 200


async def test_kept_connections_that_die_on_use_are_retried_on_a_new_one(edge: LoopbackEdge) -> None:
    """The origin answers the first request of each connection, all six at once, and closes at the second."""
    arrived, all_arrived = 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        arrived += 1
        if arrived == 6:
            all_arrived.set()
        await all_arrived.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    rules = Rules(("cdn.example",), others_direct=True)
    async with Running(edge, rules=rules) as running, running.client() as client:
        first = await asyncio.gather(*(client.get(url) for _ in range(6)))
        assert [answer.status_code for answer in first] == [200] * 6
        for _ in range(3):
            assert (await client.get(url)).status_code == 200
    server.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"GET https://127.0.0.1/ HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"GET http:///nothing HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"CONNECT nowhere HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"CONNECT x:99999 HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"rubbish\r\n\r\n", b"400"),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_what_is_no_request_for_a_proxy_is_refused(
    running: Running, request_: bytes, status: bytes
) -> None:
    reader, writer = await running.connect()
    writer.write(request_)
    assert (await reader.readline()).split()[1] == status
    assert b"error: " in await reader.read()
    writer.close()


# --- rules


async def test_other_hosts_are_refused_with_the_reason(running: Running) -> None:
    async with running.client() as client:
        answer = await client.get("http://elsewhere.example/")
    assert answer.status_code == 403
    assert "elsewhere.example is not of the CDN" in answer.text
    assert "hint:  start the proxy with --host" in answer.text
    assert answer.headers["proxy-status"] == 'sennit; error=http_request_denied; details="Refused"'
    assert running.failures() == ["Refused"]


async def test_others_go_direct_only_where_the_rules_say_so(edge: LoopbackEdge) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ndirect")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Running(edge, rules=Rules(("cdn.example",), others_direct=True)) as running:
        async with running.client() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "direct"
        reader, writer = await running.connect()
        writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nhost: x\r\n\r\n" % port)
        assert await reader.readline() == b"HTTP/1.1 200 Connection established\r\n"
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.readuntil(b"direct")).endswith(b"direct")
        writer.close()
        assert WentDirect("127.0.0.1") in running.events
        assert not [event for event in running.events if isinstance(event, SessionOpened)]
    server.close()


def test_rules_read_names_as_dns_does_and_map_ports() -> None:
    rules = Rules(("*.CDN.example", "203.0.113.*"), service_port=8443)
    assert rules.select_tunnel("a.cdn.EXAMPLE.", 80) == (ProxyRoute.SESSION, 8443)
    assert rules.select_tunnel("203.0.113.1", 8080) == (ProxyRoute.SESSION, 8080)
    with pytest.raises(RequestRefused, match="https"):
        rules.select_tunnel("a.cdn.example", 443)
    with pytest.raises(RequestRefused):
        rules.select_route("cdn.example.evil.example")
    assert Rules(("cdn",), others_direct=True).select_tunnel("other", 443) == (ProxyRoute.DIRECT, 443)


async def test_what_the_key_exchange_refuses_is_reported_with_name_and_hint(edge: LoopbackEdge) -> None:
    async with Running(edge) as running, running.client() as client:
        strict = replace(edge.options, paths=["lo", "lo"], allow_shared_path=False)
        running.proxy._upstream.sessions._options = strict
        answer = await client.get("http://127.0.0.1/")
    assert answer.status_code == 502
    assert answer.text.startswith("error: SharedPath: both paths leave by lo\nhint:  ")
    assert answer.headers["proxy-status"].endswith('details="SharedPath"')


async def test_an_edge_that_is_away_is_reported(edge: LoopbackEdge) -> None:
    rules = Rules(service_port=1)
    async with Running(edge, rules=rules) as running, running.client() as client:
        answer = await client.get("http://127.0.0.1/")
    assert (answer.status_code, running.failures()) == (502, ["ConnectionRefusedError"])


# --- tunnels


async def test_connect_carries_plain_http_into_a_session(running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: 127.0.0.1:80\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
    writer.write(b"GET /inside HTTP/1.1\r\nhost: cdn\r\nconnection: close\r\n\r\n")
    assert b"GET /inside cdn None" in await reader.read()
    writer.close()
    await until(lambda: any(isinstance(event, SessionEnded) for event in running.events))
    assert running.failures() == []


async def test_connect_with_what_follows_in_the_same_packet(running: Running) -> None:
    reader, writer = await running.connect()
    request = b"GET /inside HTTP/1.1\r\nhost: cdn\r\nconnection: close\r\n\r\n"
    writer.write(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: 127.0.0.1:80\r\n\r\n" + request)
    assert b"GET /inside cdn None" in await reader.read()
    writer.close()


async def test_connect_to_the_port_of_https_is_refused_before_anything_is_opened(running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nhost: x\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"hint:  use http://127.0.0.1/" in answer
    writer.close()
    assert not [event for event in running.events if isinstance(event, SessionOpened)]


async def test_tls_inside_a_session_is_answered_with_an_alert(running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x16\x03\x01\x00\x05hello")
    assert await reader.read() == bytes([21, 3, 3, 0, 2, 2, 49])
    writer.close()
    await until(running.failures)
    assert running.failures() == ["TlsInside"]


async def test_a_tunnel_whose_session_breaks_is_reset_and_not_ended(
    edge: LoopbackEdge, running: Running
) -> None:
    reader, writer = await running.connect()
    writer.write(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET /inside HTTP/1.1\r\nhost: cdn\r\n\r\n")
    await reader.readuntil(b"None\n")
    edge.session.abort()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    await until(lambda: len(running.failures()) == 1)


# --- SOCKS 5


async def socks(
    running: Running, address: bytes, port: int, methods: bytes = b"\0"
) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await running.connect()
    writer.write(b"\5" + bytes([len(methods)]) + methods)
    assert await reader.readexactly(2) == b"\5\0"
    writer.write(b"\5\1\0" + address + struct.pack(">H", port))
    answer = await reader.readexactly(10)
    assert answer[0] == 5
    return answer[1], reader, writer


V4, V6, NAME = b"\1\x7f\0\0\1", b"\4" + bytes(15) + b"\1", b"\3\x09127.0.0.1"


@pytest.mark.parametrize("address", [V4, NAME])
async def test_socks_carries_plain_http_into_a_session(running: Running, address: bytes) -> None:
    reply, reader, writer = await socks(running, address, 80)
    assert reply == 0
    writer.write(b"GET /inside HTTP/1.1\r\nhost: cdn\r\nconnection: close\r\n\r\n")
    assert b"GET /inside cdn None" in await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("address", "port", "reply"),
    [
        *((V4, 443, 2), (V6, 80, 2), (b"\3\x04else", 80, 2), (V4, 1, 5), (b"\3\x02\xff\n", 80, 4)),
        *((b"\3" + bytes([72]) + b"a" * 64 + b".example", 80, 4), (b"\3\4a..b", 80, 4), (b"\3\0", 80, 4)),
    ],
)
async def test_socks_says_no_by_number(running: Running, address: bytes, port: int, reply: int) -> None:
    got, reader, writer = await socks(running, address, port)
    assert got == reply
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"\5\1\2", b"\5\xff"),  # only by password, and there is none
        (b"\5\1\0\5\2\0\1\x7f\0\0\1\0\x50", b"\5\0\5\7"),  # BIND
        (b"\5\1\0\5\1\0\2", b"\5\0\5\x08"),  # no such type of address
        (b"\5\1\0\4\1\0\1\x7f\0\0\1\0\x50", b"\5\0"),  # another version in the middle
        (b"\5\3\0", b""),  # and gone
    ],
)
async def test_socks_that_is_wrong_ends(running: Running, said: bytes, answer: bytes) -> None:
    reader, writer = await running.connect()
    writer.write(said)
    writer.write_eof()
    assert (await reader.read())[: len(answer)] == answer
    writer.close()


# --- who may


async def test_a_password_is_asked_for_in_both_languages(edge: LoopbackEdge) -> None:
    async with Running(edge, credentials=Credentials.parse("me:secret")) as running:
        async with running.client() as client:
            refused = await client.get("http://127.0.0.1/")
            assert refused.status_code == 407
            assert refused.headers["proxy-authenticate"].startswith("Basic ")
        for password, status in (("wrong", 407), ("secret", 200)):
            async with running.client(auth=("me", password)) as client:
                assert (await client.get("http://127.0.0.1/")).status_code == status
        for password, granted in ((b"wrong!", 1), (b"secret", 0)):
            reader, writer = await running.connect()
            writer.write(b"\5\2\0\2")
            assert await reader.readexactly(2) == b"\5\2"
            writer.write(b"\1\2me\6" + password)
            assert await reader.readexactly(2) == bytes([1, granted])
            writer.close()


async def test_each_program_has_a_password_of_its_own(edge: LoopbackEdge) -> None:
    accounts = Credentials.parse("# programs\nmail:one\r\n\nbackup:two:2\n")
    assert accounts.accounts == (("mail", "one"), ("backup", "two:2"))
    async with Running(edge, credentials=accounts) as running:
        for auth, status in (
            (("mail", "one"), 200),
            (("backup", "two:2"), 200),
            (("mail", "two:2"), 407),
            (("backup", "two"), 407),
            (("# programs", ""), 407),
        ):
            async with running.client(auth=auth) as client:
                assert (await client.get("http://127.0.0.1/")).status_code == status


@pytest.mark.parametrize("text", ["", "\n#\n", "me", "me:", ":x", "me:a\nme:b", "a:b\n:c", f"me:{'x' * 256}"])
def test_a_file_of_credentials_is_whole_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME:PASSWORD|twice"):
        Credentials.parse(text)


async def test_more_programs_than_allowed_are_turned_away(edge: LoopbackEdge) -> None:
    async with Running(edge, connections=1) as running:
        _, first = await running.connect()
        first.write(b"GET ")
        await until(lambda: len(running.proxy._tasks) == 1)
        reader, second = await running.connect()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        first.close()
        second.close()
    assert running.failures() == ["TooManyConnections"]


async def test_a_program_that_leaves_ends_its_session(edge: LoopbackEdge, running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: any(isinstance(event, SessionEnded) for event in running.events))
    await until(edge.session.is_closing)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", "-a.example", "0x7f.1"])
async def test_an_invalid_name_is_refused_before_it_is_used(running: Running, host: str) -> None:
    reader, writer = await running.connect()
    writer.write(f"CONNECT {host}:80 HTTP/1.1\r\nhost: {host}:80\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
    writer.close()
    reader, writer = await running.connect()
    writer.write(f"GET http://{host}/ HTTP/1.1\r\nhost: cdn\r\n\r\n".encode())
    assert b"error: InvalidHostName" in await reader.readuntil(b"\nhint")
    writer.close()


async def test_parameters_of_the_path_are_kept(running: Running) -> None:
    async with running.client() as client:
        answer = await client.get("http://127.0.0.1/sample.bin;x=1")
    assert answer.text.startswith("GET /sample.bin;x=1 ")


@pytest.mark.parametrize("credentials", [None, Credentials((("a", "b"), ("c", "d")))])
async def test_a_refused_connect_announces_the_end(
    edge: LoopbackEdge, credentials: Credentials | None
) -> None:
    async with Running(edge, credentials=credentials) as running:
        reader, writer = await running.connect()
        writer.write(b"CONNECT other.example:80 HTTP/1.1\r\nhost: other.example:80\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == (b"407" if credentials else b"403")
        assert b"connection: close\r\n" in head.lower()
        writer.close()
