"""A caching proxy in front of several origins: what its clients see while some fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from loopback import until
from one_service import one_service
from origin_groups import LiveOrigin, group_of
from scripted_server import Asked, answer

from edge.cache.storage.store import ResponseStore
from edge.proxy.caching_proxy import CachingProxy
from services.origins import Balancing


@dataclass
class Front:
    """A proxy in front of origins a and b, and its client."""

    client: httpx.AsyncClient
    lives: dict[str, LiveOrigin]
    proxy: CachingProxy
    control: str = "max-age=60"

    async def get(self, path: str) -> httpx.Response:
        """Return the response, once what is to be stored is."""
        found = await self.client.get(path)
        await until(lambda: not self.proxy.fetches.busy)
        return found

    def owner_of(self, path: str) -> LiveOrigin:
        return next(live for live in self.lives.values() if any(one.target == path for one in live.asked))


@asynccontextmanager
async def front_of(folder: Path, balancing: Balancing = Balancing.HASH_URL) -> AsyncIterator[Front]:
    async with group_of("a", "b", balancing=balancing) as (origins, lives):
        store = ResponseStore(folder, 10_000_000, 1_000_000)
        proxy = CachingProxy(one_service(origins), store, "edge1")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(proxy), base_url="http://cdn") as client:
            made = Front(client, lives, proxy)
            for live in lives.values():
                live.server.script = _answering(made, live)
            try:
                yield made
            finally:
                await proxy.fetches.stop()
                store.close()


def _answering(front: Front, live: LiveOrigin) -> object:
    async def script(asked: Asked) -> list[bytes]:
        await asyncio.sleep(0.01)
        return [answer(live.name, f"cache-control: {front.control}", status=live.status)]

    return script


async def test_all_that_wait_for_one_object_share_its_retry(tmp_path: Path) -> None:
    async with front_of(tmp_path) as front:
        await front.get("/probe")
        owner = front.owner_of("/probe")
        owner.kill()
        # URLs of the same origin among others: each is asked for once where it still is
        paths = [f"/{number}" for number in range(8)]
        answers = await asyncio.gather(*(front.get(path) for path in paths for _ in range(20)))
        assert {one.status_code for one in answers} == {200}
        other = next(live for live in front.lives.values() if live is not owner)
        assert sorted(asked.target for asked in other.asked) == paths


async def test_a_stale_response_is_served_only_when_no_origin_answers(tmp_path: Path) -> None:
    async with front_of(tmp_path) as front:
        front.control = "max-age=0, stale-if-error=60"
        first = await front.get("/a")
        owner = front.owner_of("/a")
        other = next(live for live in front.lives.values() if live is not owner)
        owner.status = "503 Unavailable"
        found = await front.get("/a")
        assert (found.status_code, found.text) == (200, other.name)
        other.status = "503 Unavailable"
        stale = await front.get("/a")
        assert (stale.status_code, stale.text) == (200, other.name)
        assert "stale-if-error" in stale.headers["cache-status"]
        assert first.text == owner.name


async def test_a_missing_object_of_one_origin_is_the_answer(tmp_path: Path) -> None:
    """A 404 is no failure: another origin is not asked, and the negative cache keeps it."""
    async with front_of(tmp_path) as front:
        for live in front.lives.values():
            live.status = "404 Not Found"
        assert [(await front.get("/none")).status_code for _ in range(3)] == [404, 404, 404]
        assert sum(len(live.asked) for live in front.lives.values()) == 1


async def test_posts_reach_one_origin_once_while_others_fail(tmp_path: Path) -> None:
    async with front_of(tmp_path, Balancing.WEIGHTED) as front:
        for live in front.lives.values():
            live.status = "503 Unavailable"
        found = await front.client.post("/form", content=b"order")
        assert found.status_code == 503
        assert sum(len(live.asked) for live in front.lives.values()) == 1
