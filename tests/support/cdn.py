"""A caching proxy with a scripted origin and a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
from one_service import one_service

from edge.cache.storage.store import ResponseStore
from edge.origins.assembly import single_origin
from edge.proxy.caching_proxy import CachingProxy
from edge.services.active_service import ServiceDefaults
from edge.services.directory import ServiceDirectory
from edge.services.served_connection import ServedConnection

NOW = 1_800_000_000.0  # seconds since the epoch at which tests begin


def http_date(offset: float = 0.0) -> str:
    return formatdate(NOW + offset, usegmt=True)


class Body(httpx.AsyncByteStream):
    """Gives `parts`; waits for `gate` before the last, and breaks off there when asked to."""

    def __init__(self, parts: list[bytes], gate: asyncio.Event | None, cut: bool) -> None:
        self._parts, self._gate, self._cut = parts, gate, cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number, part in enumerate(self._parts):
            if number == len(self._parts) - 1:
                if self._gate is not None:
                    await self._gate.wait()
                if self._cut:
                    raise httpx.ReadError("cut")
            yield part


@dataclass
class Origin(httpx.AsyncBaseTransport):
    """Answers each request with what the test has set, and remembers it. `etag` makes it answer conditions."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b"body"
    parts: list[bytes] | None = None
    gate: asyncio.Event | None = None
    cut: bool = False
    error: Exception | None = None
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
    clock: "Clock | None" = None
    asked: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        special = self.answer(request)
        if special is not None:
            return special
        headers = list(self.headers)
        if self.clock is not None and not any(name == "date" for name, _ in headers):
            headers.append(("date", formatdate(self.clock.now, usegmt=True)))
        etag = dict(headers).get("etag")
        if etag is not None and request.headers.get("if-none-match") == etag and self.status == 200:
            return httpx.Response(304, headers=headers)
        parts = self.parts if self.parts is not None else [self.body]
        if self.parts is None and not any(name == "content-length" for name, _ in headers):
            headers.append(("content-length", str(len(self.body))))
        if request.method == "HEAD":
            return httpx.Response(self.status, headers=headers)
        return httpx.Response(self.status, headers=headers, stream=Body(parts, self.gate, self.cut))


class Clock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Cdn:
    """One edge's cache before one origin, and a client of it."""

    origin: Origin
    clock: Clock
    services: ServiceDirectory
    store: ResponseStore
    proxy: CachingProxy
    client: httpx.AsyncClient

    async def get(self, path: str = "/a", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(path, headers=named)

    def fast(self, request: bytes, connection: ServedConnection | None = None) -> bytes | None:
        """Return what the fast path answers, None for what it leaves to the general path."""
        pieces = self.proxy.fast_path.answer(request, connection)
        return b"".join(pieces) if pieces is not None else None

    async def settled(self) -> None:
        """Wait until no fetch is running: what is to be stored is."""
        async with asyncio.timeout(5):
            while self.proxy.fetches.busy or self.proxy.coded.busy:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def cdn(
    folder: Path,
    document: dict[str, Any] | None = None,
    secrets: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Cdn]:
    """`document` is that of the service, without one it is `--upstream`."""
    clock = Clock()
    origin = Origin(clock=clock)
    sizes = {"limit": 50_000_000, "object_limit": 20_000_000} | options
    defaults = ServiceDefaults(sizes.pop("negative_seconds", 0))
    services = one_service(single_origin("http://origin", "edge1", origin), defaults, document, secrets)
    store = ResponseStore(folder, **sizes)
    proxy = CachingProxy(services, store, "edge1", clock=clock)
    transport = httpx.ASGITransport(proxy)
    try:
        # a client that says nothing of its own: each header in a test is the test's
        async with httpx.AsyncClient(transport=transport, base_url="http://cdn") as client:
            client.headers.clear()
            yield Cdn(origin, clock, services, store, proxy, client)
    finally:
        await proxy.fetches.stop()
        await proxy.coded.stop()
        store.close()
