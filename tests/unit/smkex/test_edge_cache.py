"""With a remembered edge id both paths open at once at its locator; who refuses there costs one fresh start."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from loopback import LoopbackEdge, digest_of, read, until

from smkex.client import connect
from smkex.client.edge_cache import LIFETIME, LIMIT, EdgeCache
from smkex.transport.tcp import Target

VIP = ip_address("127.0.0.1")


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with LoopbackEdge() as edge:
        yield edge


def target(edge: LoopbackEdge) -> Target:
    return Target(VIP, edge.port, edge.port)


def test_an_id_is_forgotten_after_an_hour_and_memory_is_bounded() -> None:
    now = [0.0]
    cache = EdgeCache(lambda: now[0])
    cache.put(Target(VIP), 7)
    now[0] = LIFETIME - 1
    assert cache.get(Target(VIP)) == 7
    now[0] = LIFETIME
    assert cache.get(Target(VIP)) is None
    for port in range(LIMIT + 1):
        cache.put(Target(VIP, port + 1), 1)
    assert cache.get(Target(VIP, 1)) is None
    assert cache.get(Target(VIP, LIMIT + 1)) == 1


async def test_the_second_connection_never_meets_the_service_port(edge: LoopbackEdge) -> None:
    cache = EdgeCache(lambda: 0.0)
    await (await edge.connect(cache=cache)).close()
    assert [relay.accepted for relay in edge.relays] == [1, 1]
    again = await edge.connect(cache=cache)
    assert [relay.accepted for relay in edge.relays] == [1, 3]
    again.writer.write(b"%08d" % 100_000)
    assert await read(again, 100_000) == digest_of(100_000)
    await again.rehome()
    assert [relay.accepted for relay in edge.relays] == [1, 3]
    await again.close()
    assert again.session.error is None


async def test_a_refused_locator_starts_over_at_the_service_port(edge: LoopbackEdge) -> None:
    cache = EdgeCache(lambda: 0.0)
    cache.put(target(edge), 9)  # nobody listens at its port
    connection = await edge.connect(cache=cache)
    assert connection.report().owner_id == 1
    assert cache.get(target(edge)) == 1


async def test_another_edge_at_the_locator_starts_over_with_everything_fresh(edge: LoopbackEdge) -> None:
    """The port of id 2 leads to edge 1 (its own is the service port here): it says so, and all is done anew."""
    cache = EdgeCache(lambda: 0.0)
    elsewhere = Target(VIP, edge.port, edge.port - 1)
    cache.put(elsewhere, 2)
    connection = await connect(
        "127.0.0.1",
        paths=["lo"],
        port=edge.port,
        id_port_base=edge.port - 1,
        allow_shared_path=True,
        cache=cache,
    )
    assert connection.report().owner_id == 1
    assert [relay.accepted for relay in edge.relays] == [2, 2]
    assert cache.get(elsewhere) == 1


async def test_a_locator_that_says_nothing_costs_half_the_time(edge: LoopbackEdge) -> None:
    cache = EdgeCache(lambda: 0.0)
    cache.put(target(edge), 1)
    edge.relays[1].blackhole()
    connecting = asyncio.ensure_future(edge.connect(cache=cache, timeout=1.0))
    await until(lambda: edge.relays[0].accepted == 1)
    edge.relays[1].come_back()
    connection = await connecting
    assert connection.report().owner_id == 1
