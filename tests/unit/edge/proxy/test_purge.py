"""purges.json as the agent writes it, followed."""

import asyncio
from pathlib import Path

import pytest
from cdn import Cdn, cdn

from edge.http.request import url_cache_key
from edge.proxy.purge import PurgeApplier
from node.state.catalogue import PURGES
from node.state.purges import read_applied_purge


def follower(it: Cdn, state: Path) -> PurgeApplier:
    return PurgeApplier(state, it.store, it.proxy.fetches, it.services, it.clock)


async def settle(it: Cdn, number: int) -> None:
    async with asyncio.timeout(5):
        while it.store.last_purge < number:
            await asyncio.sleep(0.01)


def write(state: Path, purges: list[dict[str, object]]) -> None:
    PURGES.write_object(state, {"purges": purges})


async def test_purges_by_url_and_by_tag_take_effect_once(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache") as it:
        it.origin.headers = [("cache-control", "max-age=60"), ("surrogate-key", "news front")]
        following = asyncio.create_task(
            PurgeApplier(tmp_path, it.store, it.proxy.fetches, it.services, it.clock).run()
        )
        await it.get("/a?x")
        await it.settled()
        write(tmp_path, [{"id": 1, "url": "smkex://cdn/a?x", "tag": None, "at": 1.0}])
        await settle(it, 1)
        assert "uri-miss" in (await it.get("/a?x")).headers["cache-status"]
        await it.settled()
        write(tmp_path, [{"id": 1, "url": "smkex://cdn/a?x"}, {"id": 2, "tag": "front"}])
        await settle(it, 2)
        assert "uri-miss" in (await it.get("/a?x")).headers["cache-status"]
        await it.settled()
        following.cancel()
        # a restart reads the same file again, and does nothing
        following = asyncio.create_task(
            PurgeApplier(tmp_path, it.store, it.proxy.fetches, it.services, it.clock).run()
        )
        write(
            tmp_path, [{"id": 1, "url": "smkex://cdn/a?x"}, {"id": 2, "tag": "front"}, {"id": 3, "tag": "no"}]
        )
        await settle(it, 3)
        assert "hit" in (await it.get("/a?x")).headers["cache-status"]
        following.cancel()


async def test_a_file_that_makes_no_sense_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with cdn(tmp_path / "cache") as it:
        PURGES.write_text(tmp_path, '{"purges": [{"id": "x"}]}')
        following = asyncio.create_task(
            PurgeApplier(tmp_path, it.store, it.proxy.fetches, it.services, it.clock).run()
        )
        async with asyncio.timeout(5):
            while "purges.json" not in caplog.text:
                await asyncio.sleep(0.01)
        write(tmp_path, [{"id": 5, "tag": "t"}])
        await settle(it, 5)
        following.cancel()


def test_one_store_serves_all_schemes() -> None:
    urls = ("https://CDN.example:443/a?b", "smkex://cdn.example/a?b", "http://cdn.example:80/a?b#c")
    assert {url_cache_key(url) for url in urls} == {"cdn.example /a?b"}


PAGES = ("/a/1", "/a/2", "/b")
CACHED = [("cache-control", "max-age=600"), ("etag", '"1"')]


async def fill(it: Cdn) -> None:
    it.origin.headers = list(CACHED)
    for page in PAGES:
        await it.get(page)
    await it.settled()
    for page in PAGES:
        assert "hit" in (await it.get(page)).headers["cache-status"]


async def states(it: Cdn) -> list[bool]:
    """Whether each page is a hit."""
    return ["hit" in (await it.get(page)).headers["cache-status"] for page in PAGES]


@pytest.mark.parametrize(
    ("scope", "hits"),
    [
        ({"url": "https://CDN:443/a/%31#x"}, [False, True, True]),
        ({"prefix": "https://cdn/a/"}, [False, False, True]),
        ({"prefix": "https://cdn/a/1"}, [False, True, True]),
        ({"prefix": "https://other/"}, [True, True, True]),
        ({"host": "cdn"}, [False, False, False]),
        ({"host": "cd"}, [True, True, True]),
        ({"service": "default"}, [False, False, False]),
        ({"service": "shop"}, [True, True, True]),
        ({"everything": True}, [False, False, False]),
        ({"a-scope-of-a-later-version": "x"}, [False, False, False]),
    ],
)
async def test_a_purge_drops_what_it_names_and_no_more(
    tmp_path: Path, scope: dict[str, object], hits: list[bool]
) -> None:
    async with cdn(tmp_path / "cache") as it:
        await fill(it)
        write(tmp_path, [{"id": 1, **scope}])
        await follower(it, tmp_path).catch_up()
        assert await states(it) == hits
        assert read_applied_purge(tmp_path) == 1


async def test_a_soft_purge_serves_stale_once_more_while_it_validates(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache") as it:
        await fill(it)
        age = int((await it.get("/b")).headers["age"])
        write(tmp_path, [{"id": 1, "prefix": "https://cdn/a/", "soft": True}])
        await follower(it, tmp_path).catch_up()
        asked = len(it.origin.asked)
        it.clock.now += 1
        stale = await it.get("/a/1")
        assert "hit; ttl=-1" in stale.headers["cache-status"]
        assert int(stale.headers["age"]) == age + 1  # it is as old as it is
        await it.settled()
        assert it.origin.asked[asked].headers["if-none-match"] == '"1"'
        assert "ttl=-" not in (await it.get("/a/1")).headers["cache-status"]
        assert len(it.origin.asked) == asked + 1
        # what nothing has asked for in time is validated first
        it.clock.now += 60
        assert "fwd=stale" in (await it.get("/a/2")).headers["cache-status"]


async def test_a_soft_purge_does_not_serve_what_must_be_validated(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache") as it:
        it.origin.headers = [("cache-control", "max-age=600, must-revalidate"), ("etag", '"1"')]
        await it.get("/a")
        await it.settled()
        write(tmp_path, [{"id": 1, "everything": True, "soft": True}])
        await follower(it, tmp_path).catch_up()
        it.clock.now += 1
        assert "fwd=stale" in (await it.get("/a")).headers["cache-status"]


@pytest.mark.parametrize("soft", [False, True])
async def test_a_response_asked_for_before_a_purge_is_not_stored_after_it(tmp_path: Path, soft: bool) -> None:
    async with cdn(tmp_path / "cache") as it:
        it.origin.headers = list(CACHED)
        it.origin.gate = asyncio.Event()
        first = asyncio.create_task(it.get("/a/1"))
        while not it.origin.asked:
            await asyncio.sleep(0)
        write(tmp_path, [{"id": 1, "host": "cdn", "soft": soft}])
        await follower(it, tmp_path).catch_up()
        it.origin.gate.set()
        await first
        await it.settled()
        assert "uri-miss" in (await it.get("/a/1")).headers["cache-status"]


async def test_another_worker_forgets_what_it_has_in_memory(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache") as one, cdn(tmp_path / "cache") as other:
        await fill(one)
        other.origin.headers = list(CACHED)
        assert await states(other) == [True, True, True]
        write(tmp_path, [{"id": 1, "host": "cdn"}])
        await follower(one, tmp_path).catch_up()
        assert await states(other) == [False, False, False]
