"""HTTP over sessions: an httpx transport with connection pooling, by httpcore over `connect`."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Unpack

import httpcore
import httpx

from smkex.client.connect import Connection, connect
from smkex.client.edge_cache import EdgeCache
from smkex.client.options import ConnectOptions
from smkex.client.report import ConnectionReport
from smkex.core.errors import SmkexError

SCHEME = "smkex"


class SessionStream(httpcore.AsyncNetworkStream):
    """One session as httpcore's network stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._connection.reader.read(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("no data within the time allowed") from None
        except SmkexError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        try:
            async with asyncio.timeout(timeout):
                self._connection.writer.write(buffer)
                await self._connection.writer.drain()
        except TimeoutError:
            raise httpcore.WriteTimeout("the peer takes no data") from None
        except (SmkexError, ConnectionError) as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._connection.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError("a session is its own protection")

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._connection.reader.at_eof() or self._connection.session.is_closing()
        return self._connection.session.get_extra_info(info)


Opener = Callable[[str, int], Awaitable[Connection]]


class SessionBackend(httpcore.AsyncNetworkBackend):
    """Opens a session where httpcore would open a TCP connection. `connections` are those it opened."""

    def __init__(self, opener: Opener) -> None:
        self._open = opener
        self.connections: list[Connection] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        connection = await self._open(host, port)
        self.connections = [c for c in self.connections if not c.session.is_closing()] + [connection]
        return SessionStream(connection)


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout(str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.ReadError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


class SmkexTransport(httpx.AsyncBaseTransport):
    """An httpx transport for URLs `smkex://host/path`: `httpx.AsyncClient(transport=SmkexTransport(...))`.

    Options are those of `connect`. Errors of the key exchange come through as subclasses of `SmkexError`; those
    of HTTP as httpx's own.
    """

    def __init__(self, **options: Unpack[ConnectOptions]) -> None:
        given: ConnectOptions = {"cache": EdgeCache(), **options}
        self._backend = SessionBackend(lambda host, port: connect(host, port=port, **given))
        self._pool = httpcore.AsyncConnectionPool(network_backend=self._backend)

    @property
    def connections(self) -> list[Connection]:
        """The open connections, for their reports."""
        return self._backend.connections

    def reports(self) -> list[ConnectionReport]:
        """The path reports of the open connections."""
        return [connection.report() for connection in self.connections if not connection.session.is_closing()]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme != SCHEME:
            raise httpx.UnsupportedProtocol(f"not a {SCHEME} URL: {request.url}")
        try:
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    # http to httpcore: what lies below is the session, not TLS
                    url=httpcore.URL(
                        scheme="http",
                        host=request.url.raw_host,
                        port=request.url.port or 443,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout(str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.NetworkError(str(error)) from error
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()
