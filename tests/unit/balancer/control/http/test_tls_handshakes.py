"""TLS clients that keep the control plane waiting, over real sockets: disconnected in time, and no other client is."""

import asyncio
import contextlib
import functools
import gc
import ssl
from asyncio import sslproto
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import certificates
import pytest
import uvicorn
from fastapi import FastAPI

from balancer.control.http.connection import HEAD_SECONDS, BoundedConnection
from balancer.control.http.tls_handshakes import TlsConnection, TlsHandshakes
from balancer.control.server import protocol_of
from balancer.control.settings import ControlSettings

GET = b"GET / HTTP/1.1\r\nhost: c\r\n\r\n"
Serve = Callable[..., AbstractAsyncContextManager["Served"]]


class Served:
    """A server of `hello` behind bounded handshakes."""

    def __init__(self, port: int, handshakes: TlsHandshakes, certificate: Path) -> None:
        self.port, self.handshakes = port, handshakes
        self.trusting = ssl.create_default_context(cafile=str(certificate))

    async def say_nothing(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self) -> bytes:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trusting)
            writer.write(GET)
            answer = await reader.readuntil(b'"hello"')
            writer.close()
            return answer

    async def under_way(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.handshakes) != count:
                await asyncio.sleep(0.02)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    certificate, key = certificates.identity(tmp_path, "control", "127.0.0.1")
    monkeypatch.setattr(
        sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size
    )  # put back at the end

    @contextlib.asynccontextmanager
    async def run(**limits: Any) -> AsyncIterator[Served]:
        app = FastAPI()

        @app.get("/")
        async def say() -> str:
            return "hello"

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        handshakes = TlsHandshakes(context, **limits)
        protocol: Any = functools.partial(TlsConnection, handshakes, BoundedConnection)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, http=protocol))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield Served(server.servers[0].sockets[0].getsockname()[1], handshakes, certificate)
        finally:
            server.should_exit = True
            await task

    return run


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="control")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "begun", [b"", client_hello()[:100], client_hello()], ids=["nothing", "half a hello", "a hello alone"]
)
async def test_a_handshake_that_never_ends_is_let_go(serve: Serve, begun: bytes) -> None:
    async with serve(seconds=0.5) as served:
        reader, writer = await served.say_nothing()
        writer.write(begun)
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 30)
        await served.under_way(0)
        writer.close()


async def test_a_handshake_that_trickles_on_is_let_go(serve: Serve) -> None:
    async with serve(seconds=0.5) as served, asyncio.timeout(30):
        reader, writer = await served.say_nothing()
        ended = asyncio.create_task(reader.read())
        for byte in client_hello():
            if ended.done():
                break
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([byte]))
                await writer.drain()
            await asyncio.sleep(0.02)
        await asyncio.wait([ended])
        assert ended.exception() is None or isinstance(ended.exception(), ConnectionResetError)
        writer.close()


def test_with_a_certificate_the_daemon_bounds_handshakes_as_it_does_slow_heads(tmp_path: Path) -> None:
    certificate, key = certificates.identity(tmp_path, "control", "127.0.0.1")
    settings = ControlSettings(admin_token_file=tmp_path / "admin", tls_certificate=certificate, tls_key=key)
    made = protocol_of(settings)
    assert made.func is TlsConnection
    handshakes = made.args[0]
    assert handshakes.seconds == HEAD_SECONDS
    assert handshakes.context.minimum_version == ssl.TLSVersion.TLSv1_3


async def test_who_is_silent_makes_room_for_who_comes_later(serve: Serve) -> None:
    async with serve(seconds=60, most=2, gives_way_after=0.0) as served:
        silent = [await served.say_nothing() for _ in range(2)]
        await served.under_way(2)
        assert (await served.ask()).startswith(b"HTTP/1.1 200 ")
        assert await asyncio.wait_for(silent[0][0].read(), 30) == b"", "the oldest gave way"
        for _, writer in silent:
            writer.close()


async def test_a_crowd_beyond_the_limit_is_refused_and_displaces_no_client(serve: Serve) -> None:
    async with serve(seconds=60, most=2, gives_way_after=60) as served:
        silent = [await served.say_nothing() for _ in range(2)]
        await served.under_way(2)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await served.ask()
        await served.under_way(2)
        for _, writer in silent:
            writer.close()
        await served.under_way(0)
        assert (await served.ask()).startswith(b"HTTP/1.1 200 ")


async def test_a_request_in_the_same_segment_as_the_clients_finished_is_answered(serve: Serve) -> None:
    async with serve() as served:
        reader, writer = await served.say_nothing()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = served.trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        async with asyncio.timeout(30):
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65536))
            client.write(GET)
            writer.write(outgoing.read())  # Finished and the request at once
            answer = b""
            while b'"hello"' not in answer:
                try:
                    answer += client.read(65536)
                except ssl.SSLWantReadError:
                    incoming.write(await reader.read(65536))
        assert answer.startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("sent", [b"", GET, client_hello()], ids=["nothing", "no TLS", "a hello"])
async def test_handshakes_that_fail_leave_nothing_for_the_collector(serve: Serve, sent: bytes) -> None:
    """Its check interval is long, and each holds a hundred KB."""
    async with serve(seconds=5) as served:
        gc.collect()
        before = alive(sslproto.SSLProtocol)
        gc.disable()
        try:
            writers = [(await served.say_nothing())[1] for _ in range(20)]
            await served.under_way(20)
            for writer in writers:
                writer.write(sent)
                writer.close()
            await none_left(before, sslproto.SSLProtocol)
        finally:
            gc.enable()


async def test_connections_that_ended_leave_nothing_for_the_collector(serve: Serve) -> None:
    async with serve() as served:
        gc.collect()
        before = alive(BoundedConnection)
        gc.disable()
        try:
            for _ in range(20):
                await served.ask()
            await none_left(before, BoundedConnection)
        finally:
            gc.enable()


def alive(kind: type) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


async def none_left(before: int, kind: type) -> None:
    async with asyncio.timeout(30):
        while alive(kind) > before:
            await asyncio.sleep(0.02)
