"""purges.json as the agent writes it, followed."""

import asyncio
from pathlib import Path

import pytest
from cdn import Cdn, cdn

from edge.http.request import url_cache_key
from edge.proxy.purge import follow_purges
from node.state.catalogue import PURGES


async def settle(it: Cdn, number: int) -> None:
    async with asyncio.timeout(5):
        while it.store.last_purge < number:
            await asyncio.sleep(0.01)


def write(state: Path, purges: list[dict[str, object]]) -> None:
    PURGES.write_object(state, {"purges": purges})


async def test_purges_by_url_and_by_tag_take_effect_once(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache") as it:
        it.origin.headers = [("cache-control", "max-age=60"), ("surrogate-key", "news front")]
        following = asyncio.create_task(follow_purges(tmp_path, it.store, it.proxy.fetches, it.services))
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
        following = asyncio.create_task(follow_purges(tmp_path, it.store, it.proxy.fetches, it.services))
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
        following = asyncio.create_task(follow_purges(tmp_path, it.store, it.proxy.fetches, it.services))
        async with asyncio.timeout(5):
            while "purges.json" not in caplog.text:
                await asyncio.sleep(0.01)
        write(tmp_path, [{"id": 5, "tag": "t"}])
        await settle(it, 5)
        following.cancel()


def test_one_store_serves_all_schemes() -> None:
    urls = ("https://CDN.example:443/a?b", "smkex://cdn.example/a?b", "http://cdn.example:80/a?b#c")
    assert {url_cache_key(url) for url in urls} == {"cdn.example /a?b"}
