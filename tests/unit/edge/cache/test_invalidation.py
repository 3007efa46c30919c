"""What an unsafe request has changed is gone before its client knows (RFC 9111 section 4.4), seen through sockets."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from loopback import until
from scripted_server import Asked, ScriptedServer, answer
from served_cache import Worker, served

TRIES = 40


class Documents:
    """An origin of documents, each with a number that every unsafe request raises. `held` keeps GETs of /a back."""

    def __init__(self) -> None:
        self.number = itertools.count(1)
        self.current = 0
        self.fields: list[str] = []
        self.held: asyncio.Event | None = None
        self.raw = ScriptedServer(self._answer)

    async def _answer(self, asked: Asked) -> list[bytes]:
        if asked.method not in ("GET", "HEAD"):
            self.current = next(self.number)
            return [answer("done", *self.fields)]
        body = answer(f"{self.current}", "cache-control: max-age=600", f'etag: "{self.current}"')
        if self.held is not None:
            await self.held.wait()
        return [body if asked.method == "GET" else body.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"]


@pytest.fixture
async def origin() -> Documents:
    return Documents()


@pytest.fixture
async def workers(tmp_path: Path, origin: Documents) -> AsyncIterator[list[Worker]]:
    async with served(tmp_path, origin.raw, workers=2) as made:
        yield made


async def is_stored(worker: Worker, path: str) -> None:
    """Ask until the answer comes from the cache, in memory as well."""
    for _ in range(2):
        async with asyncio.timeout(5):
            while "hit" not in (await worker.get(path)).headers["cache-status"]:
                pass


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_get_right_after_an_unsafe_request_is_never_stale(
    workers: list[Worker], origin: Documents, method: str
) -> None:
    one, other = workers
    for _ in range(TRIES):
        for worker in workers:
            await is_stored(worker, "/a")
        assert (await one.client.request(method, "/a")).text == "done"
        answers = await asyncio.gather(one.get("/a"), other.get("/a"))
        assert [int(answer.text) for answer in answers] == [origin.current] * 2


@pytest.mark.parametrize("name", ["location", "content-location"])
@pytest.mark.parametrize("form", ["/a", "a", "http://cdn/a"])
async def test_urls_that_the_answer_names_are_gone_too(
    workers: list[Worker], origin: Documents, name: str, form: str
) -> None:
    one, other = workers
    origin.fields = [f"{name}: {form}"]
    for _ in range(TRIES // 4):
        for worker in workers:
            await is_stored(worker, "/a")
        await one.client.post("/form")
        answers = await asyncio.gather(one.get("/a"), other.get("/a"))
        assert [int(answer.text) for answer in answers] == [origin.current] * 2


async def test_an_answer_names_nothing_of_another_host(workers: list[Worker], origin: Documents) -> None:
    one, _ = workers
    origin.fields = ["location: http://other/a"]
    await is_stored(one, "/a")
    await one.client.post("/form")
    assert "hit" in (await one.get("/a")).headers["cache-status"]


@pytest.mark.parametrize("fetching", [0, 1], ids=["the same worker", "another worker"])
async def test_what_is_on_its_way_meanwhile_is_neither_followed_nor_stored(
    workers: list[Worker], origin: Documents, fetching: int
) -> None:
    old, changing = workers[fetching], workers[0]
    origin.held = asyncio.Event()
    before = asyncio.create_task(old.get("/a"))
    await until(lambda: len(origin.raw.asked) == 1)
    await changing.client.post("/a")
    held, origin.held = origin.held, None
    async with asyncio.timeout(5):  # for nothing that began before the change, in no worker
        for worker in workers:
            assert int((await worker.get("/a")).text) == origin.current
    held.set()
    assert int((await before).text) == 0
    await until(lambda: not any(worker.proxy.fetches.busy for worker in workers))
    for worker in workers:
        assert int((await worker.get("/a")).text) == origin.current


async def test_another_worker_that_lags_behind_stores_nothing_old(
    workers: list[Worker], origin: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = workers
    monkeypatch.setattr(other.store, "apply_invalidations", lambda: None)
    origin.held = asyncio.Event()
    before = asyncio.create_task(other.get("/a"))
    await until(lambda: len(origin.raw.asked) == 1)
    await one.client.post("/a")
    origin.held.set()
    assert int((await before).text) == 0
    await until(lambda: not other.proxy.fetches.busy)
    assert int((await one.get("/a")).text) == origin.current


async def test_a_confirmation_from_before_the_change_brings_nothing_back(
    workers: list[Worker], origin: Documents
) -> None:
    one, other = workers
    await is_stored(other, "/a")
    (entry,) = other.store.load("cdn /a")
    since = other.store.last_change
    await one.client.post("/a")
    assert not await other.store.refresh(entry, (), since)
    assert not await other.store.insert(entry, None, (), since)
    assert other.store.find("cdn /a", {}) is None


async def test_a_head_that_shows_a_change_does_so_before_it_is_answered(
    workers: list[Worker], origin: Documents
) -> None:
    one, _ = workers
    for _ in range(TRIES // 4):
        await is_stored(one, "/a")
        origin.current = next(origin.number)
        await one.client.head("/a", headers={"cache-control": "no-cache"})
        assert int((await one.get("/a")).text) == origin.current
