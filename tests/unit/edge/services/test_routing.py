"""Two services share nothing, and a request is served by one revision from its beginning to its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from many_services import prepare_services, publish_service

from edge.cache.storage.store import ResponseStore
from edge.http.fields import Pairs
from edge.http.origin_response import OriginResponse
from edge.origins.shield.invalidations import Invalidation
from edge.proxy.caching_proxy import CachingProxy
from edge.services.active_service import ActiveService
from edge.services.directory import ServiceDirectory
from edge.services.served_connection import ServedConnection
from smkex.http.server.http1 import CONNECTION

GET = b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n"


@dataclass
class LabelledOrigins:
    """Answer with the service and revision that they belong to, once `gate` is open."""

    service: ActiveService
    gate: asyncio.Event
    headers: Pairs
    asked: list[str]
    closed: bool = False

    @asynccontextmanager
    async def request(
        self, method: str, target: bytes, headers: Pairs, body: Any = None, **_: Any
    ) -> AsyncIterator[OriginResponse]:
        self.asked.append(f"{self.service.name} {target.decode()}")
        await self.gate.wait()
        assert not self.closed
        text = f"{self.service.name} {self.service.revision}".encode()

        async def parts() -> AsyncIterator[bytes]:
            yield text

        yield OriginResponse(200, [*self.headers, ("content-length", str(len(text)))], parts())

    def is_direct(self, key: str) -> bool:
        return True

    async def invalidate(self, invalidation: Invalidation) -> None:
        raise AssertionError("nothing unsafe is asked")

    async def close(self) -> None:
        self.closed = True


@dataclass
class Site:
    """A proxy of many services; `connection` is the client's."""

    proxy: CachingProxy
    store: ResponseStore
    services: ServiceDirectory
    client: httpx.AsyncClient
    gate: asyncio.Event
    made: list[LabelledOrigins]
    connection: ServedConnection = field(default_factory=ServedConnection)

    async def get(self, host: str, path: str = "/a", **fields: str) -> httpx.Response:
        return await self.client.get(path, headers={"host": host, **fields})

    def activate(self, **revisions: int) -> None:
        """Put services in force, each with a host of its name."""
        services = (publish_service(name, revision) for name, revision in revisions.items())
        before = self.services.current
        self.services.activate(
            prepare_services(
                *services, number=before.generation + 1, before=before, make_origins=self.make_origins
            )
        )

    def make_origins(self, service: ActiveService) -> LabelledOrigins:
        self.made.append(
            LabelledOrigins(service, self.gate, [("cache-control", "max-age=60"), ("vary", "x-v")], [])
        )
        return self.made[-1]

    async def settle(self) -> None:
        async with asyncio.timeout(5):
            while self.proxy.fetches.busy:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Site]:
    store = ResponseStore(folder, 50_000_000, 20_000_000)
    services = ServiceDirectory(lambda service: site.make_origins(service))
    proxy = CachingProxy(services, store, "edge1")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await proxy({**scope, "extensions": {CONNECTION: site.connection}}, receive, send)

    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            client.headers.clear()
            site = Site(proxy, store, services, client, asyncio.Event(), [])
            site.gate.set()
            yield site
    finally:
        await proxy.fetches.stop()
        await services.close()
        store.close()


async def test_a_host_of_no_service_is_misdirected(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.activate(shop=1)
        assert (await site.get("other.example")).status_code == 421
        assert (await site.get("shop.example")).text == "shop 1"
        assert not [one for one in site.made if one.service.name != "shop"]


async def test_a_session_of_one_service_asks_no_other(tmp_path: Path) -> None:
    """On both paths through the proxy, also for what is stored."""
    async with serving(tmp_path) as site:
        site.activate(shop=1, blog=1)
        for host in ("shop.example", "blog.example"):
            for _ in range(2):
                await site.get(host)
                await site.settle()
        site.connection.server_name = "shop.example"
        assert (await site.get("blog.example")).status_code == 421
        answer = site.proxy.fast_path.answer
        request = GET % (b"/a", b"blog.example")
        assert answer(request, ServedConnection("shop.example")) is None
        assert answer(request, ServedConnection("unknown.example")) is None
        assert answer(request, ServedConnection("")) is not None
        both = ServedConnection("blog.example")
        assert answer(request, both) is not None
        assert answer(GET % (b"/a", b"shop.example"), both) is None


async def test_two_services_share_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.activate(a=1)
        await site.get("a.example")
        await site.settle()
        # the name moves to another service, which has not stored this response
        moved = publish_service("b", hostnames=["a.example"])
        site.services.activate(
            prepare_services(moved, before=site.services.current, make_origins=site.make_origins)
        )
        assert (await site.get("a.example")).text == "b 1"


async def test_what_was_stored_outlives_a_revision(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.activate(shop=1)
        await site.get("shop.example")
        await site.settle()
        site.activate(shop=2)
        hit = await site.get("shop.example")
        assert "hit" in hit.headers["cache-status"]
        assert hit.text == "shop 1"


async def test_a_request_that_began_before_is_not_followed_by_one_that_began_after(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.activate(shop=1)
        site.gate.clear()
        before = asyncio.create_task(site.get("shop.example"))
        while not site.made or not site.made[0].asked:
            await asyncio.sleep(0)
        site.activate(shop=2)
        after = asyncio.create_task(site.get("shop.example", x="1"))
        while len(site.made) < 2 or not site.made[1].asked:
            await asyncio.sleep(0)
        assert not site.made[0].closed
        site.gate.set()
        assert (await before).text == "shop 1"
        assert (await after).text == "shop 2"
        await site.settle()
        await asyncio.sleep(0)
        assert site.made[0].closed
        assert not site.made[1].closed


STEPS = st.lists(st.sampled_from(["activate 1", "activate 2", "activate 3", "ask", "answer"]), max_size=12)


@given(STEPS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_activations_in_any_order_never_mix_revisions(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    asyncio.run(_play(tmp_path_factory.mktemp("cache"), steps))


async def _play(folder: Path, steps: list[str]) -> None:
    async with serving(folder) as site:
        site.activate(shop=1)
        site.gate.clear()
        revision, asked = 1, []
        for number, step in enumerate(steps):
            if step.startswith("activate"):
                revision = int(step[-1])
                site.activate(shop=revision)
            elif step == "ask":
                # a path of its own: what is stored is of the revision that fetched it
                asked.append((revision, asyncio.create_task(site.get("shop.example", f"/{number}"))))
                for _ in range(3):
                    await asyncio.sleep(0)
            else:
                site.gate.set()
                await asyncio.gather(*(task for _, task in asked))
                site.gate.clear()
        site.gate.set()
        for expected, task in asked:
            assert (await task).text == f"shop {expected}"
        await site.settle()
