"""HTTP over sessions: an httpx transport with connection pooling."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpcore
import httpx

from smkex.client.connect import connect
from smkex.client.connection import Connection
from smkex.client.edge_cache import EdgeCache
from smkex.client.options import ConnectOptions
from smkex.client.report import ConnectionReport
from smkex.core.wire.locator import SERVICE_PORT
from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool
from smkex.http.stream import ByteStream
from smkex.transport.routes.host_name import HostName, InvalidHostName

SCHEME = "smkex"


def with_edge_cache(options: ConnectOptions) -> ConnectOptions:
    """Return `options` with a cache of edge ids in memory if they have none."""
    return options if options.cache is not None else replace(options, cache=EdgeCache())


class SessionOpener:
    """Opens a session where a pool would open a TCP connection. `connections` are those that have not ended."""

    def __init__(self, open_session: Callable[[str, int], Awaitable[Connection]]) -> None:
        self._open = open_session
        self.connections: list[Connection] = []

    async def __call__(self, origin: httpcore.Origin, timeout: float | None) -> ByteStream:
        connection = await self._open(origin.host.decode("ascii"), origin.port)
        self.connections.append(connection)
        connection.when_closed(lambda: self.connections.remove(connection))
        return ByteStream(connection.reader, connection.writer)

    async def close(self) -> None:
        """End those that are still open, and wait until the other ends have agreed."""
        await asyncio.gather(*(connection.close() for connection in self.connections))


class SmkexTransport(httpx.AsyncBaseTransport):
    """An httpx transport for URLs `smkex://host/path`: `httpx.AsyncClient(transport=SmkexTransport(...))`.

    `options` are those of `connect`, with a cache of edge ids by default. Errors of the key exchange are subclasses of
    `SmkexError`, those of HTTP httpx's own.
    """

    def __init__(self, options: ConnectOptions | None = None) -> None:
        given = with_edge_cache(options or ConnectOptions())
        self._opener = SessionOpener(lambda host, port: connect(host, port=port, options=given))
        # http to the pool: what lies below is the session, not TLS
        self._pooled = PoolTransport(
            HttpPool(connections=10, open_stream=self._opener), scheme="http", port=SERVICE_PORT
        )

    @property
    def connections(self) -> list[Connection]:
        """The open connections, for their reports."""
        return self._opener.connections

    def reports(self) -> list[ConnectionReport]:
        """The path reports of the open connections."""
        return [connection.report() for connection in self.connections if not connection.session.is_closing()]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme != SCHEME:
            raise httpx.UnsupportedProtocol(f"not a {SCHEME} URL: {request.url}")
        return await self._pooled.handle_async_request(_with_canonical_host(request))

    async def aclose(self) -> None:
        await self._pooled.aclose()
        await self._opener.close()


def _with_canonical_host(request: httpx.Request) -> httpx.Request:
    """Return `request` with the canonical host in its URL, and in Host where that repeats the URL's."""
    try:
        host = HostName.parse(request.url.host).text
    except InvalidHostName as error:
        raise httpx.InvalidURL(str(error)) from error
    if host == request.url.host:
        return request
    url = request.url.copy_with(host=host)
    headers = request.headers.copy()
    if headers.get("host") == request.url.netloc.decode("ascii"):
        headers["host"] = url.netloc.decode("ascii")
    return httpx.Request(
        request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
    )
