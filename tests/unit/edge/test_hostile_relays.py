"""An attacker on one path changes one byte of the handshake: both ends fail, by name, and deliver nothing.

Real sockets on loopback; a relay stands before each of the edge's two ports.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from smkex.client import ConnectOptions, connect
from smkex.core.errors import SmkexError
from smkex.core.handshake.config import ServerConfig
from smkex.core.wire.frame import FrameType, encode_header
from smkex.core.wire.messages import encode_abort
from smkex.server.acceptor import Acceptor
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.transport.driver import SessionDriver

TIMEOUT = (
    1.0  # seconds for a handshake at the edge: lengths made greater wait for it; the client waits longer
)
AT_ONCE = 24


class Application(asyncio.Protocol):
    def __init__(self, edge: "Edge") -> None:
        self._edge = edge

    def data_received(self, data: bytes) -> None:
        self._edge.delivered += data


class Edge:
    """One edge, and counts of what it delivered and what it refused."""

    def __init__(self, limit: int = 16) -> None:
        self.delivered = b""
        self.handshakes = TcpHandshakes(
            lambda: ServerConfig(edge_id=1), self._serve, limit=limit, timeout=TIMEOUT, require_both=True
        )
        self._listening: list[tuple[socket.socket, Acceptor]] = []
        self.ports: list[int] = []

    async def start(self) -> None:
        for _ in range(2):
            listening = socket.create_server(("127.0.0.1", 0))
            self._listening.append((listening, Acceptor(listening, self.handshakes.accept)))
            self.ports.append(listening.getsockname()[1])

    def stop(self) -> None:
        for listening, acceptor in self._listening:
            acceptor.stop()
            listening.close()

    def _serve(self, session: SessionDriver) -> None:
        session.start(Application(self))


class Relays:
    """A relay a path; byte `at` of what goes `towards` the edge (or the client) on `path` is changed."""

    def __init__(self, edge: Edge, path: int, towards: str, at: int) -> None:
        self._edge, self._path, self._towards, self._at = edge, path, towards, at
        self._servers: list[asyncio.Server] = []
        self.port = 0

    async def __aenter__(self) -> "Relays":
        while not self.port:
            first = socket.create_server(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second = socket.create_server(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                first.close()
                continue
            self.port = port
            for path, sock in enumerate((first, second)):
                self._servers.append(await asyncio.start_server(self._relay(path), sock=sock))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()

    def _relay(self, path: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream, onward = await asyncio.open_connection("127.0.0.1", self._edge.ports[path])
            await asyncio.gather(
                self._carry(reader, onward, path, "edge"), self._carry(upstream, writer, path, "client")
            )

        return relay

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: int, towards: str
    ) -> None:
        seen = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                changed = bytearray(data)
                place = self._at - seen
                if (path, towards) == (self._path, self._towards) and 0 <= place < len(data):
                    changed[place] ^= 0x10
                seen += len(data)
                writer.write(changed)
                await writer.drain()
        writer.close()


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    made = Edge()
    await made.start()
    yield made
    made.stop()


async def attempt(path: int, towards: str, at: int) -> tuple[str, str, bytes]:
    """One connection with one changed byte: (the client's error, the edge's, what the edge delivered)."""
    edge = Edge()
    await edge.start()
    try:
        async with Relays(edge, path, towards, at) as relays:
            name = await client_error(relays.port)
            async with asyncio.timeout(5):
                while not edge.handshakes.failures:
                    await asyncio.sleep(0.01)
            return name, next(iter(edge.handshakes.failures)), edge.delivered
    finally:
        edge.stop()


async def client_error(port: int) -> str:
    try:
        connection = await connect(
            "127.0.0.1",
            port=port,
            options=ConnectOptions(
                paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None, timeout=2 * TIMEOUT
            ),
        )
    except SmkexError as error:
        return type(error).__name__
    connection.writer.write(b"application data")
    with contextlib.suppress(SmkexError, ConnectionError):
        async with asyncio.timeout(3):
            await connection.reader.read()
    error = connection.session.error
    assert error is not None, "the client's session went on"
    return type(error).__name__


# lengths of ClientShare and Finished, ServerShare, ClientNonce and Finished, ServerNonce over IPv4 loopback
DIRECTIONS = [(0, "edge", 1322 + 37), (0, "client", 1147), (1, "edge", 52 + 37), (1, "client", 111)]


def places_to_change(length: int) -> list[int]:
    """Every byte, and of a long share each 61st."""
    return [at for at in range(length) if at < 80 or at > length - 60 or at % 61 == 0]


@pytest.mark.parametrize(("path", "towards", "length"), DIRECTIONS)
async def test_every_changed_byte_fails_both_ends_and_delivers_nothing(
    path: int, towards: str, length: int
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def bounded(at: int) -> tuple[str, str, bytes]:
        async with gate:
            return await attempt(path, towards, at)

    places = places_to_change(length)
    results = await asyncio.gather(*map(bounded, places))
    for at, (client, server, delivered) in zip(places, results, strict=True):
        where = f"byte {at} towards the {towards} on path {path}: client {client}, edge {server}"
        assert client, where
        assert server, where
        assert delivered == b"", where


async def test_nothing_changed_goes_through(edge: Edge) -> None:
    async with Relays(edge, 9, "edge", 0) as relays:
        connection = await connect(
            "127.0.0.1",
            port=relays.port,
            options=ConnectOptions(
                paths=["lo"], id_port_base=relays.port, allow_shared_path=True, known_hosts=None
            ),
        )
        connection.writer.write(b"application data")
        async with asyncio.timeout(5):
            while edge.delivered != b"application data":
                await asyncio.sleep(0.01)
        await connection.close()


async def answer_to(edge: Edge, data: bytes, *, end: bool = False) -> bytes:
    """What the edge answers to a first subflow that begins with `data`, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.ports[0])
    writer.write(data)
    if end:
        writer.write_eof()
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "MalformedMessage"),
        (bytes(64), "MalformedMessage"),
        (encode_header(FrameType.CLIENT_SHARE, 4093), "MalformedMessage"),
        (encode_header(FrameType.CLIENT_SHARE, 1) + b"\1", "UnsupportedVersion"),
        (encode_header(FrameType.DATA, 100), "MalformedMessage"),
        (encode_abort(1), "UnexpectedMessage"),
        (encode_header(FrameType.CLIENT_NONCE, 48) + bytes(48), "DeadlineMissed"),
        (encode_header(FrameType.CLIENT_SHARE, 60), "DeadlineMissed"),
        (b"", "DeadlineMissed"),
    ],
)
async def test_garbage_and_slow_clients_are_ended_by_name(edge: Edge, data: bytes, error: str) -> None:
    answer = await answer_to(edge, data)
    assert answer == b"" or answer[0] == FrameType.ABORT
    assert dict(edge.handshakes.failures) == {error: 1}
    assert len(edge.handshakes) == 0


async def test_handshakes_are_bounded_in_number() -> None:
    from exchanges import entropy

    from smkex.core.handshake.client import ClientHandshake
    from smkex.core.handshake.config import ClientConfig

    edge = Edge(limit=3)
    await edge.start()
    shares = [ClientHandshake.begin(ClientConfig(), entropy(seed)).client_share for seed in range(1, 9)]
    await asyncio.gather(*(answer_to(edge, share) for share in shares))
    assert edge.handshakes.failures["Overloaded"] == 5
    assert len(edge.handshakes) == 0
    edge.stop()
