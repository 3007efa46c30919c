"""Client and edge over real loopback sockets. Both paths are `lo`, which the client's options allow."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import pytest
from free_ports import free_port

from smkex.client import connect
from smkex.client.options import ConnectOptions
from smkex.core.errors import OnePathOnly, SharedPath
from smkex.core.handshake.config import ServerConfig
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.transport.session import SessionTransport
from smkex.transport.subflow import Subflow


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def eof_received(self) -> bool:
        return False


class Edge:
    def __init__(self) -> None:
        self.sessions: list[SessionTransport] = []
        self.handshakes = TcpHandshakes(
            lambda: ServerConfig(edge_id=1), self._serve, limit=16, timeout=2, require_both=False
        )
        self.tasks: set[asyncio.Task[None]] = set()

    def _serve(self, session: SessionTransport) -> None:
        self.sessions.append(session)
        session.start(Echo())

    def accepted(self, subflow: Subflow) -> None:
        task = asyncio.create_task(self.handshakes.run(subflow))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@pytest.fixture
async def edge() -> AsyncIterator[tuple[Edge, int]]:
    edge, port = Edge(), free_port(2)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: Subflow(edge.accepted), "127.0.0.1", port + n) for n in (0, 1)
    ]
    yield edge, port
    for server in servers:
        server.close()


async def test_bytes_come_back_as_they_went(edge: tuple[Edge, int]) -> None:
    port = edge[1]
    connection = await connect(
        "127.0.0.1",
        port=port,
        options=ConnectOptions(paths=["lo"], id_port_base=port, allow_shared_path=True, known_hosts=None),
    )
    sent = os.urandom(5_000_000)

    async def write() -> None:
        for at in range(0, len(sent), 100_000):
            connection.writer.write(sent[at : at + 100_000])
            await connection.writer.drain()

    writing = asyncio.create_task(write())
    received = await connection.reader.readexactly(len(sent))
    await writing
    assert hashlib.sha256(received).digest() == hashlib.sha256(sent).digest()
    report = connection.report()
    assert report.owner_id == 1
    assert report.downgrades == ("shared-path",)
    assert sum(path.bytes_received for path in report.paths) > len(sent)
    await connection.close()
    assert connection.session.error is None
    assert edge[0].sessions[0].error is None


async def test_a_shared_path_is_refused_unless_allowed(edge: tuple[Edge, int]) -> None:
    port = edge[1]
    options = ConnectOptions(paths=["lo", "lo"], id_port_base=port, known_hosts=None)
    with pytest.raises(SharedPath):
        await connect("127.0.0.1", port=port, options=options)


async def test_one_interface_is_not_two_paths() -> None:
    with pytest.raises(OnePathOnly):
        await connect("127.0.0.1", options=ConnectOptions(paths=["lo"], known_hosts=None))
