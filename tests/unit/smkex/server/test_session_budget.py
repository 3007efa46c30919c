"""The budget of held bytes with real sessions: what one holds counts both ways, and the largest ends as overloaded."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

import pytest
from loopback import LoopbackEdge, until

from smkex.client.connect import Connection
from smkex.core.errors import AbortCode, PeerAborted
from smkex.server.limits.server_limits import ServerLimits
from smkex.server.session_registry import SessionRegistry
from smkex.transport.driver import SessionDriver

LIMIT = 1 << 20


class Deaf(asyncio.Protocol):
    """An application that reads nothing, and writes what a test gives it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).pause_reading()


class BudgetedEdge(LoopbackEdge):
    """A loopback edge whose sessions are those of a registry with a budget of `LIMIT` bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: Counter[str] = Counter()
        self.registry = SessionRegistry(ServerLimits(), lambda session: Deaf(), self.failures)
        self.registry.budget.limit = LIMIT

    def _serve(self, session: SessionDriver) -> None:
        self.sessions.append(session)
        self.registry.serve_session(session)


@pytest.fixture
async def edge() -> AsyncIterator[BudgetedEdge]:
    async with BudgetedEdge() as running:
        yield running


async def is_overloaded(connection: Connection) -> bool:
    """Wait for the end of a session, and tell whether the edge ended it as overloaded."""
    await until(lambda: connection.session.error is not None)
    error = connection.session.error
    return isinstance(error, PeerAborted) and error.peer_code == AbortCode.OVERLOADED


async def test_what_an_application_does_not_read_counts_and_the_largest_holder_ends(
    edge: BudgetedEdge,
) -> None:
    small, large = await edge.connect(), await edge.connect()
    small.writer.write(bytes(100_000))
    await until(lambda: edge.registry.budget.held == 100_000)
    large.writer.write(bytes(3 * LIMIT))
    assert await is_overloaded(large)
    assert edge.failures == {"Overloaded": 1}
    assert edge.registry.budget.held == 100_000
    assert len(edge.registry) == 1
    await until(lambda: edge.sessions[0].held_bytes == 100_000)
    small.session.abort()
    await until(lambda: edge.registry.budget.held == 0)


async def test_what_a_client_does_not_acknowledge_counts(edge: BudgetedEdge) -> None:
    connection = await edge.connect()
    await until(lambda: edge.sessions and len(edge.session.paths) == 2)
    for relay in edge.relays:
        relay.blackhole()
    edge.session.write(bytes(300_000))
    assert edge.registry.budget.held == 300_000
    edge.session.write(bytes(LIMIT))
    await until(lambda: edge.failures == {"Overloaded": 1})
    assert (edge.registry.budget.held, edge.session.held_bytes) == (0, 0)
    for relay in edge.relays:
        relay.come_back()
    assert await is_overloaded(connection)


async def test_a_download_through_a_small_budget_arrives(edge: BudgetedEdge) -> None:
    connection = await edge.connect()
    size, written = 8 * LIMIT, 0
    while written < size:
        await until(lambda: edge.sessions and edge.session.held_bytes < LIMIT // 2)
        edge.session.write(bytes(64 << 10))
        written += 64 << 10
        async with asyncio.timeout(10):
            await connection.reader.readexactly(64 << 10)
    assert edge.failures == {}
    connection.session.abort()


async def test_a_server_that_stops_breaks_off_a_stream_whose_end_would_mislead(edge: BudgetedEdge) -> None:
    whole, cut = await edge.connect(), await edge.connect()
    await until(lambda: len(edge.sessions) == 2)
    edge.sessions[1].breaks_off = True
    edge.registry.close_sessions()
    assert await asyncio.wait_for(whole.reader.read(), 10) == b""
    with pytest.raises(PeerAborted):
        await asyncio.wait_for(cut.reader.read(), 10)
