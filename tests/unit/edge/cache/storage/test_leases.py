"""Workers of one node share what they ask the origin for, as they share the store."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cdn import Cdn, cdn

from edge.cache.storage.leases import FetchLeases
from edge.http.request import cache_key

HOLD = """
import asyncio, sys, time
from pathlib import Path
from edge.cache.storage.leases import FetchLeases
print(asyncio.run(FetchLeases(Path(sys.argv[1])).acquire(sys.argv[2])), flush=True)
time.sleep(600)
"""


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[tuple[Cdn, Cdn]]:
    async with cdn(tmp_path / "cache") as one, cdn(tmp_path / "cache") as other:
        for worker in (one, other):
            worker.origin.headers = [("cache-control", "max-age=60"), ("etag", '"1"')]
            worker.origin.gate = asyncio.Event()
        yield one, other


async def both_wait(workers: tuple[Cdn, Cdn], count: int) -> "list[asyncio.Task[httpx.Response]]":
    """Ask each worker `count` times, and wait until the origin has been asked and all others wait."""
    asking = [asyncio.create_task(worker.get()) for worker in workers for _ in range(count)]
    async with asyncio.timeout(10):
        while not any(worker.origin.asked for worker in workers):
            await asyncio.sleep(0.001)
        while not all(worker.proxy.fetches.busy for worker in workers):
            await asyncio.sleep(0.001)
    return asking


def asked(workers: tuple[Cdn, Cdn]) -> int:
    return sum(len(worker.origin.asked) for worker in workers)


def open_gates(workers: tuple[Cdn, Cdn]) -> None:
    for worker in workers:
        assert worker.origin.gate is not None
        worker.origin.gate.set()


async def test_a_missing_object_reaches_the_origin_once_for_all_workers(workers: tuple[Cdn, Cdn]) -> None:
    asking = await both_wait(workers, 500)
    open_gates(workers)
    answers = await asyncio.gather(*asking)
    assert {answer.content for answer in answers} == {b"body"}
    assert asked(workers) == 1
    said = [answer.headers["cache-status"] for answer in answers]
    assert sum("collapsed" in one for one in said) == 999
    assert said.count("edge1; fwd=uri-miss; ttl=60; collapsed") == 500


async def test_a_stale_object_is_confirmed_once_for_all_workers(workers: tuple[Cdn, Cdn]) -> None:
    open_gates(workers)
    for worker in workers:
        await worker.get()
        await worker.settled()
        worker.clock.now += 61
    await asyncio.gather(*(worker.get() for worker in workers for _ in range(20)))
    assert asked(workers) == 2


@pytest.mark.parametrize("kind", ["that may not be stored", "of unknown size"])
async def test_a_body_is_waited_for_no_longer_than_its_head(workers: tuple[Cdn, Cdn], kind: str) -> None:
    for worker in workers:
        if kind == "of unknown size":
            worker.origin.parts = [b"bo", b"dy"]
        else:
            worker.origin.headers = [("cache-control", "private")]
    asking = await both_wait(workers, 1)
    async with asyncio.timeout(10):
        while asked(workers) < 2:
            await asyncio.sleep(0.001)
    open_gates(workers)
    assert {answer.content for answer in await asyncio.gather(*asking)} == {b"body"}


async def test_an_origin_that_fails_one_worker_is_asked_by_the_next(workers: tuple[Cdn, Cdn]) -> None:
    for worker in workers:
        worker.origin.error = httpx.ConnectError("away")
    answers = await asyncio.gather(*(worker.get() for worker in workers))
    assert [answer.status_code for answer in answers] == [502, 502]
    assert asked(workers) >= 2


async def test_the_lease_of_a_worker_that_is_killed_is_free(
    workers: tuple[Cdn, Cdn], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = workers
    open_gates(workers)
    leases = one.store.folder / "fetching.lock"
    command = [sys.executable, "-c", HOLD, str(leases), cache_key("cdn", b"/a")]
    holder = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"True\n"
        looked: list[bool] = []
        lock = FetchLeases._lock

        def look(leases: FetchLeases, key: str, kind: int) -> bool:
            looked.append(lock(leases, key, kind))
            return looked[-1]

        monkeypatch.setattr(FetchLeases, "_lock", look)
        asking = asyncio.create_task(one.get())
        async with asyncio.timeout(10):
            while len(looked) < 5:
                await asyncio.sleep(0.001)
        assert not any(looked)
        assert not one.origin.asked
    finally:
        holder.kill()
        await holder.wait()
    assert (await asking).content == b"body"


async def test_one_worker_s_clients_that_insist_keep_no_other_worker_waiting(
    workers: tuple[Cdn, Cdn],
) -> None:
    one, other = workers
    insisting = asyncio.create_task(one.get(cache_control="no-cache"))
    async with asyncio.timeout(10):
        while not one.origin.asked:
            await asyncio.sleep(0.001)
    assert other.origin.gate is not None
    other.origin.gate.set()
    assert (await asyncio.wait_for(other.get(), 5)).content == b"body"
    open_gates(workers)
    assert (await insisting).content == b"body"


async def test_a_lease_is_not_waited_for_without_end(workers: tuple[Cdn, Cdn]) -> None:
    one, other = workers
    assert await one.proxy.fetches._leases.acquire("key")
    assert await one.proxy.fetches._leases.acquire("key")  # leases of one worker do not exclude each other
    assert not await other.proxy.fetches._leases.acquire("key", 0.02)
    one.proxy.fetches._leases.release("key")
    assert not await other.proxy.fetches._leases.acquire("key", 0.02)
    one.proxy.fetches._leases.release("key")
    assert await other.proxy.fetches._leases.acquire("key", 0.02)
