"""HTTP client of one origin: what goes out, its connections, and the status of each failure."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

import httpx

from edge.http.fields import Pairs
from edge.http.origin_response import OriginFailed, OriginResponse
from edge.origins.connecting import open_plain
from edge.origins.early_hints import hints_extension
from edge.origins.exchange import IDEMPOTENT_METHODS, end_to_end
from edge.telemetry.recorded_transport import RecordedTransport
from services.origins import Origin
from smkex.http.connection import FRAMING_IN_DOUBT, NEW_CONNECTION, OpenStream
from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool
from smkex.server.limits.admission import prefix_of

KEEP_IDLE_SECONDS = 5.0  # seconds: shorter than common servers keep idle connections
POOL_TIMEOUT = 10.0  # seconds to wait for a free connection
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class OriginClient:
    """One origin over a pool of connections, opened by `open_stream`. `name` is this edge's, for Via and CDN-Loop.

    `is_shield`: it is another edge, whose requests the figures count apart.
    """

    def __init__(
        self,
        origin: Origin,
        name: str,
        open_stream: OpenStream = open_plain,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        is_shield: bool = False,
    ) -> None:
        self.origin = origin
        self._url = httpx.URL(origin.url)
        self._base = self._url.raw_path.partition(b"?")[0].rstrip(b"/")
        self._name = name
        pool = HttpPool(
            connections=origin.connections,
            # the header of the PROXY protocol names one client: such a connection is for one request
            idle=0 if origin.proxy_protocol else max(1, origin.connections // 4),
            keep=KEEP_IDLE_SECONDS,
            open_stream=open_stream,
        )
        self._transport = RecordedTransport(transport or PoolTransport(pool), to_shield=is_shield)
        # a forwarded request lasts as long as its client takes: at most half of the connections, and a quarter of
        # these for one prefix
        self._passing = asyncio.Semaphore(max(1, origin.connections // 2))
        self._of_prefix: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._timeout = httpx.Timeout(
            origin.response_timeout, connect=origin.connect_timeout, pool=POOL_TIMEOUT
        ).as_dict()

    async def close(self) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def _reserve_connection(self, client: str) -> AsyncIterator[None]:
        """Reserve a connection for a forwarded request, whose client sets its duration. Raises `OriginFailed`."""
        share = asyncio.Semaphore(max(1, self.origin.connections // 8))
        share = self._of_prefix.setdefault(prefix_of(client) if client else 0, share)
        async with AsyncExitStack() as places:
            try:
                async with asyncio.timeout(POOL_TIMEOUT):
                    await places.enter_async_context(share)
                    await places.enter_async_context(self._passing)
            except TimeoutError:
                text = "too many forwarded requests wait for the origin"
                raise OriginFailed(504, text, unsent=True, busy=True) from None
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
        """Send a request, as `edge.services.origin_side` describes."""
        async with AsyncExitStack() as stack:
            if passing is not None:
                await stack.enter_async_context(self._reserve_connection(passing))
            began = time.monotonic()
            try:
                request = self._make_request(method, target, headers, body)
                response = await self._send(request, repeatable=body is None and method in IDEMPOTENT_METHODS)
                stack.push_async_callback(response.aclose)
                _check_answers(request, response.status_code)
                answer = _parse_head(response)
            except OriginFailed as error:
                error.origin, error.seconds = self.origin.name, time.monotonic() - began
                raise
            answer.origin, answer.seconds = self.origin.name, time.monotonic() - began
            yield answer

    def _make_request(
        self, method: str, target: bytes, headers: Pairs, body: AsyncIterator[bytes] | None
    ) -> httpx.Request:
        sent = [*end_to_end(headers), ("via", f"1.1 {self._name}"), ("cdn-loop", self._name)]
        if self.origin.host is not None:
            sent = [("host", _host_field(self.origin.host)), *(pair for pair in sent if pair[0] != "host")]
        return httpx.Request(
            method,
            self._url.copy_with(raw_path=self._base + target),
            # field values are opaque octets (RFC 9110 section 5.5)
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent],
            content=body,
            extensions={"timeout": self._timeout} | hints_extension(),
        )

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
        except httpx.TransportError as error:
            raise _explain_failure(error) from None


def _host_field(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _explain_failure(error: httpx.TransportError) -> OriginFailed:
    unsent = isinstance(error, _UNSENT)
    cause = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.PoolTimeout):
        return OriginFailed(504, "no connection to the origin became free in time", unsent=unsent, busy=True)
    if isinstance(error, httpx.TimeoutException):
        return OriginFailed(504, "the origin did not respond in time", cause=cause, unsent=unsent)
    return OriginFailed(502, "cannot reach the origin", cause=cause, unsent=unsent)


def _check_answers(request: httpx.Request, status: int) -> None:
    """Raise `OriginFailed` for a 304 without a condition and a 206 without a range: no client can use it."""
    conditions = ("if-none-match", "if-modified-since")
    if status == 304 and not any(name in request.headers for name in conditions):
        raise OriginFailed(502, "the origin answered what was not asked", cause="304 without a condition")
    if status == 206 and "range" not in request.headers:  # a part that would pass as the whole
        raise OriginFailed(502, "the origin answered what was not asked", cause="206 without a range")


def _parse_head(response: httpx.Response) -> OriginResponse:
    if not 200 <= response.status_code <= 599:  # 101 was not requested
        raise OriginFailed(
            502, "the origin returned an invalid status", cause=f"invalid status {response.status_code}"
        )
    pairs = _check_fields(response)
    parts = _no_parts() if response.status_code == 205 else _response_parts(response)
    in_doubt = bool(response.extensions.get(FRAMING_IN_DOUBT))
    return OriginResponse(response.status_code, end_to_end(pairs), parts, in_doubt)


def _check_fields(response: httpx.Response) -> Pairs:
    """The fields as text, names in lower case. Raises `OriginFailed` for control characters in a value."""
    found = []
    for name, value in response.headers.raw:
        if _CONTROL.search(value) is not None:
            raise OriginFailed(
                502,
                "the origin sent an invalid header field",
                cause=f"control character in the field {name!r}",
            )
        found.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))
    if response.status_code == 204:  # RFC 9110 section 8.6
        found = [pair for pair in found if pair[0] != "content-length"]
    if response.status_code == 205:  # it has no content, whatever has come (RFC 9110 section 15.3.6)
        found = [pair for pair in found if pair[0] != "content-length"] + [("content-length", "0")]
    return found


async def _no_parts() -> AsyncIterator[bytes]:
    for _ in ():
        yield b""


async def _response_parts(response: httpx.Response) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for part in response.stream:
            yield part
    except httpx.TransportError as error:
        text = "the origin closed the connection before the end of the body"
        raise OriginFailed(502, text, cause=f"{type(error).__name__}: {error}") from None
