"""Clients that take nothing hold no more of the edge's memory than it may have."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from edge_memory import peak_memory
from edge_process import EdgeProcess, edge_process, origin

from smkex.client import ConnectOptions, connect
from smkex.client.connection import Connection
from smkex.core.errors import PeerAborted

LIMIT = 160_000_000
CLIENTS = 60
BODY = 24 << 20


async def take_and_stop(edge: EdgeProcess, count: int) -> Connection:
    """Ask for the body, read `count` bytes of it, and acknowledge nothing more."""
    connection = await connect(
        "127.0.0.1",
        port=edge.port,
        options=ConnectOptions(
            paths=["lo"], id_port_base=edge.port, allow_shared_path=True, known_hosts=None
        ),
    )
    connection.writer.write(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(60):
        await connection.reader.readexactly(count)
    for flow in list(connection.session._flows):
        flow.pause_reading()
    return connection


async def until_quiet(edge: EdgeProcess) -> None:
    """Wait until the edge takes no more memory."""
    before = -1
    async with asyncio.timeout(60):
        while (now := peak_memory(edge.process.pid)) != before:
            before = now
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("acknowledged", [1, 1 << 20])
async def test_sixty_clients_that_acknowledge_nothing_stay_below_the_memory_limit(
    tmp_path: Path, acknowledged: int
) -> None:
    async with (
        origin(bytes(BODY)) as (upstream, _),
        edge_process(tmp_path, "--upstream", upstream, "--max-memory-bytes", str(LIMIT)) as edge,
    ):
        first = await take_and_stop(edge, BODY)  # what follows comes from the cache
        opened = [first]
        for _ in range(CLIENTS):
            with contextlib.suppress(
                PeerAborted, asyncio.IncompleteReadError
            ):  # overloaded: that is right too
                opened.append(await take_and_stop(edge, acknowledged))
        await until_quiet(edge)
        assert peak_memory(edge.process.pid) < LIMIT
        for connection in opened:
            connection.session.abort()
