"""The httpx transport for programs without an event loop: the asyncio one, run in a thread of its own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.to_thread
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from smkex.client.http.transport import SmkexTransport
from smkex.client.options import ConnectOptions
from smkex.client.report import ConnectionReport

_END: Any = object()


class SmkexSyncTransport(httpx.BaseTransport):
    """An httpx transport for URLs `smkex://host/path`: `httpx.Client(transport=SmkexSyncTransport(...))`.

    `options` are those of `connect`, errors those of `SmkexTransport`. Safe to use from several threads, as
    `httpx.Client` is. Its thread ends with `close`, or with the process.
    """

    def __init__(self, options: ConnectOptions | None = None) -> None:
        self._running = start_blocking_portal(name="smkex")
        self._portal = self._running.__enter__()
        self._transport = self._portal.call(lambda: SmkexTransport(options))

    def reports(self) -> list[ConnectionReport]:
        """The path reports of the open connections."""
        return self._portal.call(self._transport.reports)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            assert isinstance(request.stream, httpx.SyncByteStream)
            request = httpx.Request(
                request.method,
                request.url,
                headers=request.headers,
                stream=_Upload(request.stream),
                extensions=request.extensions,
            )
        response = self._portal.call(self._transport.handle_async_request, request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Download(response.stream, self._portal),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """End the connections and the thread."""
        try:
            self._portal.call(self._transport.aclose)
        finally:
            self._running.__exit__(None, None, None)


class _Upload(httpx.AsyncByteStream):
    """What the program yields, waited for in another thread: it may take its time."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = iter(self._stream)
        while (part := await anyio.to_thread.run_sync(next, parts, _END)) is not _END:
            yield part


class _Download(httpx.SyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, portal: BlockingPortal) -> None:
        self._stream, self._portal = stream, portal

    def __iter__(self) -> Iterator[bytes]:
        parts = self._stream.__aiter__()
        while (part := self._portal.call(_next_part, parts)) is not _END:
            yield part

    def close(self) -> None:
        self._portal.call(self._stream.aclose)


async def _next_part(parts: AsyncIterator[bytes]) -> Any:
    return await anext(parts, _END)
