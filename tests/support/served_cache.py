"""A caching proxy as its clients and its origin see it: TCP sockets on both sides, one or more workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from one_service import one_service
from scripted_server import ScriptedServer

from edge.cache.storage.store import ResponseStore
from edge.origins.assembly import single_origin
from edge.proxy.caching_proxy import CachingProxy
from edge.services.served_connection import ServedConnection
from edge.telemetry.access_log.access_log import AccessLog
from edge.telemetry.recorded_application import RecordedApplication
from edge.telemetry.telemetry import Telemetry
from edge.telemetry.traces.span_export import SpanExport
from smkex.http.server.http_server import HttpServer

PATIENCE = 60.0  # seconds: a busy machine is no fault


@dataclass
class Worker:
    """One worker's cache, and a client of it."""

    proxy: CachingProxy
    store: ResponseStore
    client: httpx.AsyncClient
    telemetry: Telemetry
    port: int

    async def get(self, path: str = "/a", **fields: str) -> httpx.Response:
        return await self.client.get(path, headers={k.replace("_", "-"): v for k, v in fields.items()})


@asynccontextmanager
async def served(
    folder: Path,
    origin: ScriptedServer,
    workers: int = 1,
    log: AccessLog | None = None,
    document: dict[str, Any] | None = None,
    traces: SpanExport | None = None,
) -> AsyncIterator[list[Worker]]:
    """Workers of one node before `origin`, which is served too; they share the access log `log`, and `traces`.

    `document` has the rules of the service, without one it is `--upstream`.
    """
    async with AsyncExitStack() as stack:
        url = f"http://127.0.0.1:{await stack.enter_async_context(origin.listening())}"
        yield [
            await stack.enter_async_context(_worker(folder, url, log, document, traces))
            for _ in range(workers)
        ]


@asynccontextmanager
async def _worker(
    folder: Path,
    url: str,
    log: AccessLog | None,
    document: dict[str, Any] | None,
    traces: SpanExport | None,
) -> AsyncIterator[Worker]:
    store = ResponseStore(folder, 50_000_000, 20_000_000)
    upstream = single_origin(url, "edge1")
    telemetry = Telemetry(1, log, traces)
    proxy = CachingProxy(one_service(upstream, document=document), store, "edge1", telemetry=telemetry)
    server = HttpServer(
        RecordedApplication(proxy, telemetry),
        date=False,
        fast_path=proxy.fast_path.answer,
        open_connection=lambda transport: ServedConnection.of_transport(transport, telemetry.owner),
        record_rejection=telemetry.record_rejection,
    )
    await server.start()
    listening = await asyncio.get_running_loop().create_server(server.create_protocol, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    keeping_up = asyncio.create_task(store.run_maintenance())
    try:
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE) as client:
            client.headers = httpx.Headers({"host": "cdn"})
            yield Worker(proxy, store, client, telemetry, port)
    finally:
        keeping_up.cancel()
        listening.close()
        await server.stop()
        await telemetry.close()
        await proxy.fetches.stop()
        await upstream.close()
        store.close()
