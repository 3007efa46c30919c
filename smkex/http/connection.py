"""One HTTP/1.1 connection of a pool, which is reused only when nothing is left over from the last exchange.

RFC 9112 section 6.3: bytes behind a response belong to no request, and must not become the answer to the next. They are
looked for in h11's buffer and in the stream, when the response ends, while the connection is idle and again before the
next request is sent. Ending an exchange never waits, so that no cancellation keeps a connection from its pool.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum, auto
from typing import Any

import h11
import httpcore

from smkex.http.chunked import ChunkedDecoder
from smkex.http.stream import ByteStream

READ_BYTES = 64 << 10  # at once
BODY_READ_BYTES = 256 << 10  # of a body that is handed on as it came
HEAD_LIMIT = 100 << 10  # bytes of a head, or of a chunk's or the trailers' lines
INTERIM_LIMIT = 64  # 1xx responses before the final one
UNEXPECTED_BODY_DELAY = (
    0.1  # seconds without use after a head that announces a body which must not follow: some servers send it
)
NEW_CONNECTION = "sennit.new_connection"  # request extension: do not use a kept connection
# request extension: a function that receives status and fields of each 1xx response before the final one
ON_INTERIM = "sennit.on_interim"
# response extension: True where the head delimits its body in a way that another recipient may read otherwise
FRAMING_IN_DOUBT = "sennit.framing_in_doubt"

OpenStream = Callable[[httpcore.Origin, float | None], Awaitable[ByteStream]]
Headers = list[tuple[bytes, bytes]]
OnInterim = Callable[[int, Headers], None]


class _State(Enum):
    NEW = auto()
    ACTIVE = auto()
    IDLE = auto()
    CLOSED = auto()


class HttpConnection(httpcore.AsyncConnectionInterface):
    """Opens its stream with the first request. `keep` is for how many seconds it may be idle."""

    def __init__(self, origin: httpcore.Origin, open_stream: OpenStream, keep: float | None) -> None:
        self._origin = origin
        self._open = open_stream
        self._keep = keep
        self._state = _State.NEW
        self._stream: ByteStream | None = None
        self._h11 = _new_h11()
        self._sending: asyncio.Task[None] | None = None
        self._framing_in_doubt = False
        # of a body that h11 does not see: the bytes left, or the decoder; both None where it finds the end
        self._left: int | None = None
        self._chunks: ChunkedDecoder | None = None
        self._rest = 0.0
        self._usable_from = 0.0
        self._expires = float("inf")

    # --- one exchange

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send `request` and receive the head of its response; the connection is free once that is closed."""
        if self._state not in (_State.NEW, _State.IDLE):
            raise httpcore.ConnectionNotAvailable  # the pool takes another
        self._state = _State.ACTIVE
        timeouts = request.extensions.get("timeout", {})
        try:
            if self._stream is None:
                self._stream = await self._open(self._origin, timeouts.get("connect"))
            else:
                if request.extensions.get(NEW_CONNECTION, False):
                    raise httpcore.ConnectionNotAvailable  # this one is closed, and the pool takes another
                await self._check_clean(self._stream)
            head = await self._exchange(self._stream, request, timeouts)
        except BaseException:
            await self.aclose()
            raise
        headers, in_doubt = self._framed(request.method, head)
        self._left = _plain_length(request.method, head)
        self._chunks = ChunkedDecoder(HEAD_LIMIT) if _is_chunked(request.method, head) else None
        early = self._h11.trailing_data[0]
        # or more than this response has come
        self._framing_in_doubt = in_doubt or (self._left is not None and len(early) > self._left)
        return httpcore.Response(
            head.status_code,
            headers=headers,
            content=_Body(self, self._receive_any_body(self._stream, timeouts.get("read"))),
            extensions={
                "http_version": b"HTTP/" + head.http_version,
                "reason_phrase": head.reason,
                FRAMING_IN_DOUBT: in_doubt,
            },
        )

    async def _exchange(
        self, stream: ByteStream, request: httpcore.Request, timeouts: dict[str, float | None]
    ) -> h11.Response:
        """Send the request and receive the head, which may come before all of the body is sent."""
        on_interim: OnInterim = request.extensions.get(ON_INTERIM, _ignore_interim)
        await self._send_head(stream, request, timeouts.get("write"))
        if _has_no_body(request):
            await self._send_body(stream, request, timeouts.get("write"))
            return await self._receive_head(stream, timeouts.get("read"), on_interim)
        self._sending = asyncio.create_task(self._send_body(stream, request, timeouts.get("write")))
        receiving = asyncio.create_task(self._receive_head(stream, None, on_interim))
        try:
            await asyncio.wait((self._sending, receiving), return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                self._sending.result()  # what the source of the body raises ends the exchange
                async with asyncio.timeout(timeouts.get("read")):
                    await asyncio.wait((receiving,))
            return receiving.result()
        except TimeoutError:
            raise httpcore.ReadTimeout("no response within the time allowed") from None
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _check_clean(self, stream: ByteStream) -> None:
        await asyncio.sleep(
            0
        )  # what TLS has decrypted, or the socket has received, reaches the stream in this turn
        if stream.has_unread:
            raise httpcore.ConnectionNotAvailable

    async def _send_head(self, stream: ByteStream, request: httpcore.Request, timeout: float | None) -> None:
        head = h11.Request(method=request.method, target=request.url.target, headers=request.headers)
        with contextlib.suppress(httpcore.WriteError):  # an answer may have come before the end: it counts
            await self._send_event(stream, head, timeout)

    async def _send_body(self, stream: ByteStream, request: httpcore.Request, timeout: float | None) -> None:
        # a server may answer, and close, before it has taken the whole request: its answer counts
        with contextlib.suppress(httpcore.WriteError):
            async for part in request.stream:  # type: ignore[union-attr]
                await self._send_event(stream, h11.Data(data=part), timeout)
            await self._send_event(stream, h11.EndOfMessage(), timeout)

    async def _send_event(self, stream: ByteStream, event: h11.Event, timeout: float | None) -> None:
        try:
            data = self._h11.send(event)
        except h11.LocalProtocolError as error:
            raise httpcore.LocalProtocolError(str(error)) from error
        if data:
            await stream.write(data, timeout)

    async def _receive_head(
        self, stream: ByteStream, timeout: float | None, on_interim: OnInterim
    ) -> h11.Response:
        for _ in range(INTERIM_LIMIT):
            event = await self._receive_event(stream, timeout)
            version = getattr(event, "http_version", b"1.1")
            if not version.startswith(b"1."):  # its rules of framing are unknown (RFC 9110 section 2.5)
                raise httpcore.RemoteProtocolError(f"the server answered in HTTP/{version.decode('ascii')}")
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                raise httpcore.RemoteProtocolError("the server switched to a protocol that was not requested")
            on_interim(event.status_code, list(event.headers.raw_items()))
        raise httpcore.RemoteProtocolError(f"the server has sent {INTERIM_LIMIT} interim responses")

    def _receive_any_body(self, stream: ByteStream, timeout: float | None) -> AsyncIterator[bytes]:
        if self._chunks is not None:
            return self._receive_chunks(self._chunks, stream, timeout)
        if self._left is not None:
            return self._receive_plain_body(stream, timeout)
        return self._receive_body(stream, timeout)

    async def _receive_body(self, stream: ByteStream, timeout: float | None) -> AsyncIterator[bytes]:
        while isinstance(event := await self._receive_event(stream, timeout), h11.Data):
            yield bytes(event.data)

    async def _receive_plain_body(self, stream: ByteStream, timeout: float | None) -> AsyncIterator[bytes]:
        """Receive a body of known length past h11, which would copy it three times."""
        assert self._left is not None
        length = self._left
        early = self._h11.trailing_data[0][:length]  # came with the head
        if early:
            self._left -= len(early)
            yield early
        while self._left:
            data = await stream.read(min(BODY_READ_BYTES, self._left), timeout)
            if not data:
                raise httpcore.RemoteProtocolError(
                    "peer closed connection without sending complete message body "
                    f"(received {length - self._left} bytes, expected {length})"
                )
            self._left -= len(data)
            yield data

    async def _receive_chunks(
        self, chunks: ChunkedDecoder, stream: ByteStream, timeout: float | None
    ) -> AsyncIterator[bytes]:
        data = self._h11.trailing_data[0]  # came with the head
        while True:
            try:
                parts = chunks.decode(data)
            except ValueError as error:
                raise httpcore.RemoteProtocolError(str(error)) from None
            for part in parts:
                yield part
            if chunks.ended:
                return
            data = await stream.read(BODY_READ_BYTES, timeout)
            if not data:
                raise httpcore.RemoteProtocolError("peer closed connection within a chunked body")

    async def _receive_event(self, stream: ByteStream, timeout: float | None) -> Any:
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                data = await stream.read(READ_BYTES, timeout)
                if not data and self._h11.their_state is h11.SEND_RESPONSE:
                    raise httpcore.RemoteProtocolError("the server closed the connection without a response")
                self._h11.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise httpcore.RemoteProtocolError(str(error)) from error
        return event

    def _framed(self, method: bytes, head: h11.Response) -> tuple[Headers, bool]:
        """Note what the head says of the body; return its fields, without a length that a coding overrides.

        And whether the framing is in doubt (RFC 9112 section 6.3): a coding beside a length, or in HTTP/1.0, which does
        not know one (section 6.1).
        """
        headers: Headers = list(head.headers.raw_items())
        lengths = [value for name, value in headers if name.lower() == b"content-length"]
        coded = any(name.lower() == b"transfer-encoding" for name, _ in headers)
        bodyless = method == b"HEAD" or head.status_code in (204, 304)
        self._rest = (
            UNEXPECTED_BODY_DELAY if bodyless and (coded or any(value != b"0" for value in lengths)) else 0.0
        )
        if coded:
            headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
        return headers, coded and (bool(lengths) or head.http_version == b"1.0")

    async def finish(self) -> None:
        """End an exchange: keep the connection for another if all of this one, and no more, has come."""
        if self._state is not _State.ACTIVE:
            return
        self._stop_sending()
        if self._chunks is not None:
            received = self._chunks.ended and not self._chunks.left_over
        elif self._left is not None:
            received = self._left == 0
        else:
            received = self._h11.their_state is h11.DONE and not self._h11.trailing_data[0]
        over = received and self._h11.our_state is h11.DONE
        if not over or self._framing_in_doubt or not self._is_clean():
            return await self.aclose()
        if self._left is None and self._chunks is None:
            self._h11.start_next_cycle()
        else:
            self._h11 = _new_h11()
        self._state = _State.IDLE
        now = time.monotonic()
        self._usable_from = now + self._rest
        self._expires = now + self._keep if self._keep is not None else float("inf")

    def _is_clean(self) -> bool:
        return self._stream is not None and not self._stream.has_unread

    # --- the pool's side

    async def aclose(self) -> None:
        self._state = _State.CLOSED
        self._stop_sending()
        if self._stream is not None:
            self._stream.close()

    def _stop_sending(self) -> None:
        """Send no more of a body whose response is complete."""
        if self._sending is not None and not self._sending.cancel() and not self._sending.cancelled():
            self._sending.exception()  # the response came first: how the body ended does not matter
        self._sending = None

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return origin == self._origin

    def is_available(self) -> bool:
        if self._state is _State.NEW:
            return True  # also when the request that it was made for was cancelled before it began
        return self._state is _State.IDLE and time.monotonic() >= self._usable_from

    def has_expired(self) -> bool:
        return self._state is _State.IDLE and (time.monotonic() > self._expires or not self._is_clean())

    def is_idle(self) -> bool:
        return self._state is _State.IDLE

    def is_closed(self) -> bool:
        return self._state is _State.CLOSED

    def info(self) -> str:
        return f"{self._origin}, HTTP/1.1, {self._state.name}"


def _new_h11() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)


def _plain_length(method: bytes, head: h11.Response) -> int | None:
    """Return the length of a body that its head alone delimits (RFC 9112 section 6.3); None for any other."""
    fields = dict(head.headers)
    if _has_no_content(method, head) or b"transfer-encoding" in fields or b"content-length" not in fields:
        return None
    return int(fields[b"content-length"])  # one number: h11 refuses others


def _is_chunked(method: bytes, head: h11.Response) -> bool:
    """Whether a body in the chunked coding follows: h11 refuses other codings."""
    return not _has_no_content(method, head) and b"transfer-encoding" in dict(head.headers)


def _has_no_content(method: bytes, head: h11.Response) -> bool:
    return method in (b"HEAD", b"CONNECT") or head.status_code in (204, 304)


def _ignore_interim(status: int, headers: Headers) -> None: ...


def _has_no_body(request: httpcore.Request) -> bool:
    names = {name.lower() for name, _ in request.headers}
    return b"content-length" not in names and b"transfer-encoding" not in names


class _Body:
    """A response's body. Ends the exchange when it is closed, or fails."""

    def __init__(self, connection: HttpConnection, parts: AsyncIterator[bytes]) -> None:
        self._connection = connection
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._parts:
                yield part
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        await self._connection.finish()
