"""Client and edge over real loopback sockets. Both paths are `lo`, which the client's options allow."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest
from free_ports import free_port

from smkex.client import connect
from smkex.client.options import ConnectOptions
from smkex.core.errors import OnePathOnly, SharedPath
from smkex.core.handshake.config import ServerConfig
from smkex.server.acceptor import Acceptor
from smkex.server.handshake.tcp import TcpHandshakes
from smkex.transport.driver import SessionDriver


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def eof_received(self) -> bool:
        return False


class Edge:
    def __init__(self) -> None:
        self.sessions: list[SessionDriver] = []
        self.handshakes = TcpHandshakes(
            lambda: ServerConfig(edge_id=1), self._serve, limit=16, timeout=2, require_both=False
        )

    def _serve(self, session: SessionDriver) -> None:
        self.sessions.append(session)
        session.start(Echo())


@pytest.fixture
async def edge() -> AsyncIterator[tuple[Edge, int]]:
    edge, port = Edge(), free_port(2)
    listening = [socket.create_server(("127.0.0.1", port + n)) for n in (0, 1)]
    acceptors = [Acceptor(each, edge.handshakes.accept) for each in listening]
    yield edge, port
    for each, acceptor in zip(listening, acceptors, strict=True):
        acceptor.stop()
        each.close()


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
