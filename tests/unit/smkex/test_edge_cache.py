"""With a remembered edge id both paths open at once at its locator; who refuses there costs one fresh start."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from loopback import LoopbackEdge, digest_of, read, until

from smkex.client import ConnectOptions, connect
from smkex.client.edge_cache import FILE_LIMIT, LIFETIME, LIMIT, EdgeCache, EdgeCacheFile
from smkex.core.wire.messages import LocatorKind
from smkex.transport.routes.target import Target

VIP = ip_address("127.0.0.1")
LO = ("lo", "lo")


@pytest.fixture
async def edge() -> AsyncIterator[LoopbackEdge]:
    async with LoopbackEdge() as edge:
        yield edge


def target(edge: LoopbackEdge) -> Target:
    return Target(VIP, edge.port, edge.port)


def test_an_id_is_forgotten_after_an_hour_and_memory_is_bounded() -> None:
    now = [0.0]
    cache = EdgeCache(lambda: now[0])
    cache.put(Target(VIP), LO, 7)
    now[0] = LIFETIME - 1
    assert cache.get(Target(VIP), LO) == (Target(VIP), 7)
    now[0] = LIFETIME
    assert cache.get(Target(VIP), LO) is None
    for port in range(LIMIT + 1):
        cache.put(Target(VIP, port + 1), LO, 1)
    assert cache.get(Target(VIP, 1), LO) is None
    assert cache.get(Target(VIP, LIMIT + 1), LO) == (Target(VIP, LIMIT + 1), 1)


def test_another_pair_of_networks_has_an_edge_of_its_own() -> None:
    cache = EdgeCache()
    cache.put(Target(VIP), ("cell0", "wifi0"), 7)
    assert cache.get(Target(VIP), ("wifi0", "cell0")) is None


def test_the_kind_of_locators_that_an_edge_named_is_remembered() -> None:
    six, cache = Target.at(ip_address("2001:db8::"), 443, 10000, None), EdgeCache()
    cache.put(six, LO, 7)  # never named: of no use
    assert cache.get(six, LO) is None
    for kind in LocatorKind:
        cache.put(replace(six, kind=kind), LO, 7)
        assert cache.get(six, LO) == (replace(six, kind=kind), 7)


def test_the_file_is_the_users_alone_and_another_process_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "edges.json"
    EdgeCacheFile(path).put(Target(VIP), LO, 7)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert EdgeCacheFile(path).get(Target(VIP), LO) == (Target(VIP), 7)
    EdgeCacheFile(path).drop(Target(VIP), LO)
    assert EdgeCacheFile(path).get(Target(VIP), LO) is None
    assert [one.name for one in path.parent.iterdir()] == ["edges.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"KEY": 7}',
        b'{"KEY": "abc"}',
        b'{"KEY": [7, SOON]}',
        b'{"KEY": [7, SOON, 1]}',
        b'{"KEY": [true, SOON, "PORT"]}',
        b'{"KEY": [-1, SOON, "PORT"]}',
        b'{"KEY": [60000, SOON, "PORT"]}',
        b'{"KEY": [7, 1e300, "PORT"]}',
        b'{"KEY": [7, "x", "PORT"]}',
        b"[" * 100_000,
        b" " * FILE_LIMIT + b"{}",
    ],
)
def test_a_file_that_makes_no_sense_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "edges.json"
    cache = EdgeCacheFile(path)
    cache.put(Target(VIP), LO, 7)
    (key,) = json.loads(path.read_bytes())
    soon = b"%d" % (time.time() + 60)
    path.write_bytes(content.replace(b"KEY", key.encode()).replace(b"SOON", soon))
    assert cache.get(Target(VIP), LO) is None
    cache.put(Target(VIP), LO, 8)
    assert cache.get(Target(VIP), LO) == (Target(VIP), 8)


def test_a_file_that_cannot_be_had_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EdgeCacheFile(Path("/dev/null/edges.json"))
    cache.put(Target(VIP), LO, 7)
    cache.drop(Target(VIP), LO)
    assert cache.get(Target(VIP), LO) is None
    monkeypatch.setenv("SENNIT_EDGE_CACHE", "none")
    assert EdgeCacheFile.open_default() is None


async def test_a_poisoned_file_costs_a_fresh_start_only(edge: LoopbackEdge, tmp_path: Path) -> None:
    cache = EdgeCacheFile(tmp_path / "edges.json")
    cache.put(target(edge), LO, 9)
    connection = await edge.connect(cache=cache)
    assert connection.report().owner_id == 1
    assert EdgeCacheFile(cache.path).get(target(edge), LO) == (target(edge), 1)


async def test_the_second_connection_never_meets_the_service_port(edge: LoopbackEdge) -> None:
    cache = EdgeCache()
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
    cache = EdgeCache()
    cache.put(target(edge), LO, 9)  # nothing listens at its port
    connection = await edge.connect(cache=cache)
    assert connection.report().owner_id == 1
    assert cache.get(target(edge), LO) == (target(edge), 1)


async def test_another_edge_at_the_locator_starts_over_with_everything_fresh(edge: LoopbackEdge) -> None:
    """The port of id 2 leads to edge 1 (its own is the service port here): it says so, and all is done anew."""
    cache = EdgeCache()
    elsewhere = Target(VIP, edge.port, edge.port - 1)
    cache.put(elsewhere, LO, 2)
    connection = await connect(
        "127.0.0.1",
        port=edge.port,
        options=ConnectOptions(
            paths=["lo"],
            id_port_base=edge.port - 1,
            allow_shared_path=True,
            known_hosts=None,
            cache=cache,
        ),
    )
    assert connection.report().owner_id == 1
    assert [relay.accepted for relay in edge.relays] == [2, 2]
    assert cache.get(elsewhere, LO) == (elsewhere, 1)


async def test_a_locator_that_says_nothing_costs_half_the_time(edge: LoopbackEdge) -> None:
    cache = EdgeCache()
    cache.put(target(edge), LO, 1)
    edge.relays[1].blackhole()
    connecting = asyncio.ensure_future(edge.connect(cache=cache, timeout=4.0))
    await until(lambda: edge.relays[0].accepted == 1)
    edge.relays[1].come_back()
    connection = await connecting
    assert connection.report().owner_id == 1
