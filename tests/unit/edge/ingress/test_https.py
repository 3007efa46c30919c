"""Ordinary HTTPS: within the bounds that sessions have."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import identity
from loopback import until

from edge.config.settings import EdgeSettings
from edge.ingress.https import HttpsListener, https_context, listen_https
from edge.services.served_connection import ServedConnection
from smkex.http.server.http_server import HttpServer

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def hello(scope: Any, receive: Any, send: Callable[[Any], Any]) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


class Https:
    """A listener and a client of it."""

    def __init__(self, listener: HttpsListener, port: int, trusted: ssl.SSLContext) -> None:
        self.listener, self.port, self.trusted = listener, port, trusted

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, ask, and see the answer. Raises OSError, EOFError where the door is closed."""
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("localhost", self.port, ssl=self.trusted), 5
        )
        writer.write(REQUEST)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(5) == b"hello"
        return reader, writer

    async def is_refused(self) -> bool:
        try:
            _, writer = await self.connect()
        except (OSError, EOFError):
            return True
        writer.close()
        return False


@asynccontextmanager
async def https(folder: Path, open_connection: Any = None, **bounds: int) -> AsyncIterator[Https]:
    certificate, key = identity(folder, "edge", "localhost")
    server = HttpServer(hello, open_connection=open_connection)
    await server.start()
    settings = EdgeSettings(_cli_parse_args=[], **bounds)  # type: ignore[call-arg]
    listener = HttpsListener(server, https_context(certificate, key), settings)
    listening = listen_https("127.0.0.1", 0)
    port = listening.getsockname()[1]
    listener.start(listening)
    try:
        yield Https(listener, port, ssl.create_default_context(cafile=str(certificate)))
    finally:
        await listener.stop()
        await server.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_server_name_is_known_to_the_application(tmp_path: Path, version: ssl.TLSVersion) -> None:
    names: list[str] = []

    def open_connection(transport: Any) -> None:
        names.append(ServedConnection.of_transport(transport).server_name)

    async with https(tmp_path, open_connection=open_connection) as edge:
        edge.trusted.maximum_version = version
        _, writer = await edge.connect()
        writer.close()
    assert names == ["localhost"]


async def test_one_network_has_its_share_of_connections_and_no_more(tmp_path: Path) -> None:
    async with https(tmp_path, max_sessions_per_prefix=2) as edge:
        opened = [await edge.connect() for _ in range(2)]
        assert await edge.is_refused()
        opened[0][1].close()
        async with asyncio.timeout(5):
            while await edge.is_refused():
                await asyncio.sleep(0.01)
        opened[1][1].close()


async def test_and_of_handshakes_and_gets_it_back(tmp_path: Path) -> None:
    async with https(tmp_path, max_handshakes_per_prefix=2) as edge:
        silent = [await asyncio.open_connection("localhost", edge.port) for _ in range(2)]
        await until(lambda: len(edge.listener._handshakes) == 2)
        assert await edge.is_refused()
        silent[0][1].close()
        silent[1][1].write(b"this is not TLS at all")
        await until(lambda: not edge.listener._handshakes)
        assert not await edge.is_refused()
        await until(lambda: not edge.listener._open and not edge.listener._in_handshake)
        silent[1][1].close()


async def test_without_memory_no_client_is_admitted(tmp_path: Path) -> None:
    async with https(tmp_path, max_memory_bytes=1_000_000) as edge:
        assert await edge.is_refused()


@pytest.mark.parametrize("bounds", [{"max_pending_tls": 1}, {"max_handshakes_per_prefix": 1}])
async def test_a_listener_that_stops_leaves_no_handshake(tmp_path: Path, bounds: dict[str, int]) -> None:
    async with https(tmp_path, **bounds) as edge:
        _, writer = await asyncio.open_connection("localhost", edge.port)
        await until(lambda: len(edge.listener._handshakes) == 1)
        await edge.listener.stop()
        assert not edge.listener._handshakes
        assert not edge.listener._open
        writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_no_session_can_be_resumed(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A ticket's key would outlive the keys of the sessions whose secrets it seals."""
    async with https(tmp_path) as edge:
        edge.trusted.maximum_version = version
        _, writer = await edge.connect()
        connection = writer.get_extra_info("ssl_object")
        assert connection.session is None or not connection.session.has_ticket
        writer.close()
