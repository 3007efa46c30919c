"""An edge on loopback whose two ports stand behind relays, and a client's connection to it."""

import asyncio
import hashlib
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from free_ports import free_port
from relays import Relay

from smkex.client import ConnectOptions, connect
from smkex.client.connection import Connection
from smkex.core.handshake.config import ServerConfig
from smkex.server.acceptor import Acceptor
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.transport.driver import SessionDriver
from smkex.transport.frame_channel import FrameChannel

SIZE = 30_000_000
BLOCK = bytes(range(256)) * 256


class Source(asyncio.Protocol):
    """Sends as many bytes as the client asks for in eight ASCII digits, each time that it asks."""

    def __init__(self) -> None:
        self._left = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._left += int(data)
        self._send()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send()

    def eof_received(self) -> bool:
        return False

    def _send(self) -> None:
        while self._left and not self._paused:
            part = BLOCK[: min(self._left, len(BLOCK))]
            self._left -= len(part)
            self.transport.write(part)


def digest_of(count: int) -> str:
    """Of what `Source` sends for `count` bytes asked for at once."""
    whole, rest = divmod(count, len(BLOCK))
    return hashlib.sha256(BLOCK * whole + BLOCK[:rest]).hexdigest()


class LoopbackEdge:
    """One edge; `relays` stand before its service port and its locator."""

    def __init__(
        self, config: ServerConfig | None = None, protocol: Callable[[], asyncio.Protocol] = Source
    ) -> None:
        self.config = config or ServerConfig(edge_id=1)
        self._protocol = protocol
        self.sessions: list[SessionDriver] = []
        self.handshakes = TcpHandshakes(
            lambda: self.config, self._serve, limit=16, timeout=5, require_both=False
        )
        self.relays: list[Relay] = []
        self._listening: list[tuple[socket.socket, Acceptor]] = []
        self.port = 0

    async def __aenter__(self) -> "LoopbackEdge":
        for _ in range(2):
            listening = socket.create_server(("127.0.0.1", 0))
            self._listening.append((listening, Acceptor(listening, self.handshakes.accept)))
            self.relays.append(Relay(listening.getsockname()[1]))
        self.port = two_neighbouring_ports()
        for n, relay in enumerate(self.relays):
            await relay.start(self.port + n)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self.sessions:
            session.abort()
        for relay in self.relays:
            relay.stop()
        for listening, acceptor in self._listening:
            acceptor.stop()
            listening.close()
        self.handshakes.stop()

    @property
    def options(self) -> ConnectOptions:
        """Options of `connect` that reach this edge, without a known-hosts file."""
        return ConnectOptions(paths=["lo"], id_port_base=self.port, allow_shared_path=True, known_hosts=None)

    async def connect(self, **options: Any) -> Connection:
        return await connect("127.0.0.1", port=self.port, options=replace(self.options, **options))

    @property
    def session(self) -> SessionDriver:
        return self.sessions[-1]

    def _serve(self, session: SessionDriver) -> None:
        self.sessions.append(session)
        session.start(self._protocol())


def two_neighbouring_ports() -> int:
    """The service port, and behind it the locator of edge 1."""
    return free_port(2)


async def open_channel(port: int) -> FrameChannel:
    """Connect to a port of the loopback, for a handshake that a test writes by hand."""
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return FrameChannel.from_socket(sock)


async def until(condition: Any, timeout: float = 10.0) -> None:
    """Poll until `condition()` holds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)


def carrying(edge: LoopbackEdge) -> int:
    """The path that the edge sends by: the one that carried most."""
    return max((0, 1), key=lambda path: edge.relays[path].carried)


async def read(connection: Connection, count: int) -> str:
    digest = hashlib.sha256()
    async with asyncio.timeout(20):
        while count:
            data = await connection.reader.read(min(count, 1 << 20))
            assert data
            count -= len(data)
            digest.update(data)
    return digest.hexdigest()


async def start(edge: LoopbackEdge, **options: object) -> tuple[Connection, "asyncio.Task[str]", int]:
    """Begin a transfer; return with the path that carries it, once a third is through and while more is on its way."""
    connection = await edge.connect(**options)
    for relay in edge.relays:
        relay.hold_after = relay.carried + SIZE // 3
    connection.writer.write(b"%08d" % SIZE)
    reading = asyncio.create_task(read(connection, SIZE))
    await until(lambda: not all(relay.passing.is_set() for relay in edge.relays))
    path = carrying(edge)
    for relay in edge.relays:
        relay.hold_after = None
        relay.come_back()
    return connection, reading, path
