"""A caching proxy as its clients and its origin see it: TCP sockets on both sides, one or more workers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from edge.cache.store import Store
from edge.proxy import CachingProxy
from edge.serve import HttpServer
from edge.upstream import Upstream

Asked = tuple[str, str, dict[str, str]]  # method, target, fields


def response(body: str | bytes = b"", *fields: str, status: str = "200 OK") -> bytes:
    """An answer with the length that its body has."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(data)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@dataclass
class RawOrigin:
    """Sends exactly the bytes that `answer` gives for each request, in as many writes as it gives."""

    answer: Callable[[Asked], Awaitable[bytes]]
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["RawOrigin"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                await reader.readexactly(int(fields.get("content-length", "0")))
                self.asked.append((method, target, fields))
                writer.write(await self.answer((method, target, fields)))
        writer.close()


@dataclass
class Worker:
    """One worker's cache, and a client of it."""

    proxy: CachingProxy
    store: Store
    client: httpx.AsyncClient

    async def get(self, path: str = "/a", **fields: str) -> httpx.Response:
        return await self.client.get(path, headers={k.replace("_", "-"): v for k, v in fields.items()})


@asynccontextmanager
async def served(folder: Path, origin: RawOrigin, workers: int = 1) -> AsyncIterator[list[Worker]]:
    """Workers of one node before `origin`, which is served too."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(origin.serving())
        yield [await stack.enter_async_context(_worker(folder, origin.url)) for _ in range(workers)]


@asynccontextmanager
async def _worker(folder: Path, url: str) -> AsyncIterator[Worker]:
    store = Store(folder, 50_000_000, 20_000_000)
    upstream = Upstream(url, "edge1")
    proxy = CachingProxy(upstream, store, "edge1")
    server = HttpServer(proxy, date=False, hot=proxy.hot.answer)
    await server.start()
    listening = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    keeping_up = asyncio.create_task(store.keep_up())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            client.headers = httpx.Headers({"host": "cdn"})
            yield Worker(proxy, store, client)
    finally:
        keeping_up.cancel()
        listening.close()
        await server.stop()
        await proxy.fetches.stop()
        await upstream.close()
        store.close()
