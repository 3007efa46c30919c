"""Requests to the origin: what goes on and what does not, and what each failure means to the client."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import httpx

from edge.http.fields import Pairs, members
from edge.limits.admission import prefix_of
from smkex.http.httpx_transport import PoolTransport
from smkex.http.pool import HttpPool

log = logging.getLogger("edge.proxy.upstream")

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0  # seconds without a byte
CONNECTIONS = 256
KEEP_IDLE = 5.0  # seconds: shorter than servers keep theirs
POOL_TIMEOUT = 10.0  # seconds for a connection to come free: then the origin is overloaded
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
LOOP_LIMIT = 16  # CDNs that a request may have passed


class OriginFailed(Exception):
    """The origin gave no answer; `status` is what the client is told."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of the origin's answer, and its body to come."""

    status: int
    headers: Pairs
    parts: AsyncIterator[bytes]


def end_to_end(headers: Pairs) -> Pairs:
    """Without what concerns one connection only (RFC 9110 section 7.6.1)."""
    named = {token for name, value in headers if name == "connection" for token in members(value)}
    return [pair for pair in headers if pair[0] not in HOP_BY_HOP and pair[0] not in named]


class Upstream:
    """The origin at `url`, over a pool of connections. `name` is this edge's, for Via and CDN-Loop."""

    def __init__(self, url: str, name: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = httpx.URL(url)
        self._name = name
        self._transport = transport or PoolTransport(
            HttpPool(connections=CONNECTIONS, idle=CONNECTIONS // 4, keep=KEEP_IDLE)
        )
        # half of them: a request that is passed on lasts as long as its client likes. And of these a quarter for the
        # clients of one prefix
        self._passing = asyncio.Semaphore(CONNECTIONS // 2)
        self._of_prefix: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT, pool=POOL_TIMEOUT).as_dict()

    async def close(self) -> None:
        await self._transport.aclose()

    def is_loop(self, headers: Pairs) -> bool:
        """Whether a request has been here before (RFC 8586)."""
        passed = [
            token.split(";")[0].strip()
            for name, value in headers
            if name == "cdn-loop"
            for token in members(value)
        ]
        return self._name in passed or len(passed) > LOOP_LIMIT

    @asynccontextmanager
    async def passing(self, client: str) -> AsyncIterator[None]:
        """Room for a request whose client decides how long it takes; the others keep theirs. Raises `OriginFailed`."""
        share = asyncio.Semaphore(max(1, CONNECTIONS // 8))
        share = self._of_prefix.setdefault(prefix_of(client) if client else 0, share)
        async with AsyncExitStack() as places:
            try:
                async with asyncio.timeout(POOL_TIMEOUT):
                    await places.enter_async_context(share)
                    await places.enter_async_context(self._passing)
            except TimeoutError:
                raise OriginFailed(504, "too many requests are passed on to the origin") from None
            yield

    @asynccontextmanager
    async def request(
        self, method: str, target: bytes, headers: Pairs, body: AsyncIterator[bytes] | None = None
    ) -> AsyncIterator[Answer]:
        """Ask the origin. Raises `OriginFailed` before the head has come; afterwards the parts may."""
        request = httpx.Request(
            method,
            self._url.copy_with(raw_path=target),
            headers=[*end_to_end(headers), ("via", f"1.1 {self._name}"), ("cdn-loop", self._name)],
            content=body,
            extensions={"timeout": self._timeout},
        )
        response = await self._send(request, repeatable=body is None and method in ("GET", "HEAD"))
        try:
            if not 200 <= response.status_code <= 599:  # nothing was asked that 101 would answer
                raise OriginFailed(502, "the origin gave a status that is none")
            pairs = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in response.headers.raw]
            yield Answer(response.status_code, end_to_end(pairs), _parts(response))
        finally:
            await response.aclose()

    async def _send(self, request: httpx.Request, *, repeatable: bool) -> httpx.Response:
        try:
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if not repeatable:
                    raise
                # a kept connection that the origin had just closed: once more on another
                return await self._transport.handle_async_request(request)
        except httpx.TimeoutException:
            raise OriginFailed(504, "the origin does not answer") from None
        except httpx.TransportError as error:
            log.warning("origin: %s: %s", type(error).__name__, error)
            raise OriginFailed(502, "the origin cannot be reached") from None


async def _parts(response: httpx.Response) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for part in response.stream:
            yield part
    except httpx.TransportError as error:
        log.warning("origin: %s: %s", type(error).__name__, error)
        raise OriginFailed(502, "the origin broke off") from None


async def cancel(task: "asyncio.Task[None]") -> None:
    """End a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
