"""HTTP client for the origin: end-to-end fields, connection shares, and the status of each failure."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

import httpx

from edge.http.fields import Pairs, list_members
from edge.http.origin_response import OriginFailed, OriginResponse
from edge.telemetry.recorded_transport import RecordedTransport
from smkex.http.connection import NEW_CONNECTION
from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool
from smkex.server.limits.admission import prefix_of

log = logging.getLogger("edge.proxy.upstream")

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0  # seconds without a byte
CONNECTIONS = 256
KEEP_IDLE_SECONDS = 5.0  # seconds: shorter than common servers keep idle connections
POOL_TIMEOUT = 10.0  # seconds to wait for a free connection
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
IDEMPOTENT_METHODS = frozenset(
    {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY", "PROPFIND", "SEARCH", "REPORT"}
)
LOOP_LIMIT = 16  # CDNs that a request may have traversed


def end_to_end(headers: Pairs) -> Pairs:
    """Remove hop-by-hop fields (RFC 9110 section 7.6.1)."""
    named = {token for name, value in headers if name == "connection" for token in list_members(value)}
    return [pair for pair in headers if pair[0] not in HOP_BY_HOP and pair[0] not in named]


def is_loop(edge: str, headers: Pairs) -> bool:
    """Whether CDN-Loop names this edge or too many CDNs (RFC 8586)."""
    passed = [
        token.split(";")[0].strip()
        for name, value in headers
        if name == "cdn-loop"
        for token in list_members(value)
    ]
    return edge in passed or len(passed) > LOOP_LIMIT


class OriginClient:
    """The origin at `url`, over a pool of connections. `name` is this edge's, for Via and CDN-Loop."""

    def __init__(self, url: str, name: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = httpx.URL(url)
        self._base = self._url.raw_path.partition(b"?")[0].rstrip(b"/")
        self._name = name
        pool = HttpPool(connections=CONNECTIONS, idle=CONNECTIONS // 4, keep=KEEP_IDLE_SECONDS)
        self._transport = RecordedTransport(transport or PoolTransport(pool))
        # a forwarded request lasts as long as its client takes: at most half of the connections, and a quarter of
        # these for one prefix
        self._passing = asyncio.Semaphore(CONNECTIONS // 2)
        self._of_prefix: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT, pool=POOL_TIMEOUT).as_dict()

    async def close(self) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def _reserve_connection(self, client: str) -> AsyncIterator[None]:
        """Reserve a connection for a forwarded request, whose client sets its duration. Raises `OriginFailed`."""
        share = asyncio.Semaphore(max(1, CONNECTIONS // 8))
        share = self._of_prefix.setdefault(prefix_of(client) if client else 0, share)
        async with AsyncExitStack() as places:
            try:
                async with asyncio.timeout(POOL_TIMEOUT):
                    await places.enter_async_context(share)
                    await places.enter_async_context(self._passing)
            except TimeoutError:
                raise OriginFailed(504, "too many forwarded requests wait for the origin") from None
            yield

    @asynccontextmanager
    async def request(
        self,
        method: str,
        target: bytes,
        headers: Pairs,
        body: AsyncIterator[bytes] | None = None,
        *,
        key: str = "",
        passing: str | None = None,
    ) -> AsyncIterator[OriginResponse]:
        """Send a request to the origin, as `OriginSide` describes."""
        async with AsyncExitStack() as stack:
            if passing is not None:
                await stack.enter_async_context(self._reserve_connection(passing))
            yield await stack.enter_async_context(self._request(method, target, headers, body))

    @asynccontextmanager
    async def _request(
        self, method: str, target: bytes, headers: Pairs, body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[OriginResponse]:
        sent = [*end_to_end(headers), ("via", f"1.1 {self._name}"), ("cdn-loop", self._name)]
        request = httpx.Request(
            method,
            self._url.copy_with(raw_path=self._base + target),
            # field values are opaque octets (RFC 9110 section 5.5)
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent],
            content=body,
            extensions={"timeout": self._timeout},
        )
        response = await self._send(request, repeatable=body is None and method in IDEMPOTENT_METHODS)
        try:
            if not 200 <= response.status_code <= 599:  # 101 was not requested
                raise OriginFailed(502, "the origin returned an invalid status")
            pairs = _check_fields(response)
            yield OriginResponse(response.status_code, end_to_end(pairs), _response_parts(response))
        finally:
            await response.aclose()

    async def _send(self, request: httpx.Request, *, repeatable: bool) -> httpx.Response:
        try:
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if not repeatable:
                    raise
                # the origin had just closed a kept connection: retry once, on a new one (RFC 9112 section 9.3.1)
                request.extensions[NEW_CONNECTION] = True
                return await self._transport.handle_async_request(request)
        except httpx.TimeoutException:
            raise OriginFailed(504, "the origin did not respond in time") from None
        except httpx.TransportError as error:
            log.warning("request to the origin failed: %s: %s", type(error).__name__, error)
            raise OriginFailed(502, "cannot reach the origin") from None


def _check_fields(response: httpx.Response) -> Pairs:
    """The fields as text, names in lower case. Raises `OriginFailed` for control characters in a value."""
    found = []
    for name, value in response.headers.raw:
        if _CONTROL.search(value) is not None:
            log.warning("response of the origin with a control character in the field %r", name)
            raise OriginFailed(502, "the origin sent an invalid header field")
        found.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))
    if response.status_code == 204:  # RFC 9110 section 8.6
        found = [pair for pair in found if pair[0] != "content-length"]
    return found


async def _response_parts(response: httpx.Response) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for part in response.stream:
            yield part
    except httpx.TransportError as error:
        log.warning("response of the origin failed: %s: %s", type(error).__name__, error)
        raise OriginFailed(502, "the origin closed the connection before the end of the body") from None


async def cancel_task(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
