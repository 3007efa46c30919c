"""HTTP/1.1 on one session: uvicorn's protocol with the limits that a public server needs.

uvicorn and httptools (llhttp) implement parsing, keep-alive, pipelining, chunked coding, Expect and flow control;
llhttp rejects request smuggling: Content-Length with Transfer-Encoding, two lengths, invalid chunks, bare line feeds.
Added here: bounds on heads, a deadline for every wait on the client, exactly one Host, and trailers are dropped, which
uvicorn would append to the headers of the running request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

NEVER = float("inf")
CLIENT_GONE = "sennit.client_gone"  # ASGI extension: a function that returns True once the client is gone
FastPathAnswer = Callable[[bytes], bytes | None]
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
}


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds of one request, and of waits for the client, in bytes and seconds."""

    head: int = 32 << 10  # browsers stay below 16 KB; servers in front of origins allow 8 to 64
    target: int = 8 << 10  # RFC 9112 section 3 recommends 8,000 octets
    fields: int = 128
    waiting: int = 128  # pipelined requests: each takes memory of a hundred times its bytes
    idle: float = 60.0  # an open session without a request
    head_wait: float = 10.0  # from the first byte of a head to its end
    body_wait: float = 30.0  # between two parts of a body
    write_wait: float = 60.0  # for a client that reads nothing of its response


class RequestRejected(Exception):
    """The request is rejected with `status`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Http1Protocol(HttpToolsProtocol):  # type: ignore[misc]
    """Protocol of one session. The server calls `on_deadline` after `deadline`; it calls `lost` at its end."""

    def __init__(
        self,
        *,
        limits: RequestLimits,
        fast_path: FastPathAnswer | None = None,
        lost: Callable[[], object] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._fast_path = fast_path
        self._lost = lost
        self.limits = limits
        self.deadline = NEVER
        self._in_head = False
        self._in_body = False
        self._head_size = 0
        self._beside = 0  # bytes without body data: trailers and chunk extensions
        self._count = 0
        self._hosts = 0
        self._rejection: RequestRejected | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.deadline = self.loop.time() + self.limits.idle

    def data_received(self, data: bytes) -> None:
        if self._rejection is not None or self.transport.is_closing():
            return
        if self._fast_path is not None and not self._in_head and self._is_idle():
            response = self._fast_path(data)
            if response is not None:
                self._unset_keepalive_if_required()
                self.deadline = self.loop.time() + self.limits.idle
                self.transport.write(response)
                return
        self._unset_keepalive_if_required()
        if self._in_head:
            # no callback reports an unfinished line: count the bytes as they arrive
            self._head_size += len(data)
            if self._head_size > self.limits.head:
                return self.reject(RequestRejected(431, "the head exceeds the limit"))
        elif self._in_body:
            if self._beside > self.limits.head:
                return self.reject(RequestRejected(431, "trailers or chunk extensions exceed the limit"))
            self._beside += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # upgrades are ignored: answered as a plain request
        except httptools.HttpParserError:
            self.reject(self._rejection or RequestRejected(400, "invalid request"))

    def _is_idle(self) -> bool:
        """Whether no request is in progress: bytes that arrive now begin one."""
        cycle = self.cycle
        return not self._in_body and not self.flow.write_paused and (cycle is None or cycle.response_complete)

    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline = NEVER
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.deadline = self.loop.time() + self.limits.write_wait

    def resume_writing(self) -> None:
        super().resume_writing()
        self.deadline = NEVER

    # --- parser callbacks

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_size = self._count = self._hosts = 0
        self.deadline = self.loop.time() + self.limits.head_wait

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.target:
            self._raise_rejection(414, "the request target exceeds the limit")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer (RFC 9110 section 6.5.1: not merged into the headers)
        self._count += 1
        self._head_size += len(name) + len(value) + 4
        if self._count > self.limits.fields or self._head_size > self.limits.head:
            self._raise_rejection(431, "the head exceeds the limit")
        if name.lower() == b"host":
            self._hosts += 1
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._hosts > 1 or (self._hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._raise_rejection(400, "exactly one Host field is required")  # RFC 9112 section 3.2
        if (
            self.url[:1] not in (b"/", b"*")
            and b"://" not in self.url
            and self.parser.get_method() != b"CONNECT"
        ):
            self._raise_rejection(400, "invalid request target")
        if len(self.pipeline) >= self.limits.waiting - 1:
            self._raise_rejection(400, "too many pipelined requests")
        self._in_body = True
        self._beside = 0
        self.deadline = self.loop.time() + self.limits.body_wait
        self.scope["extensions"] = {CLIENT_GONE: self.transport.is_closing}
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._beside = 0
        self.deadline = self.loop.time() + self.limits.body_wait
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self.deadline = NEVER
        super().on_message_complete()

    # --- called by the server

    def on_deadline(self) -> None:
        """Reject or close: the client exceeded a deadline."""
        if self._in_body and self.flow.read_paused:
            return  # the application has not read the data that arrived
        if self.flow.write_paused or (self.cycle is not None and self.cycle.response_started):
            self.deadline = NEVER
            self.transport.abort()
        elif self._in_head or self._in_body:
            self.reject(RequestRejected(408, "the request was not complete in time"))
        else:
            self.transport.close()

    def reject(self, rejection: RequestRejected) -> None:
        """Send an error unless a response has started, and close."""
        self._rejection = rejection
        self.deadline = NEVER
        if self.cycle is None or self.cycle.response_complete:
            text = f"{rejection}\n".encode()
            reason = _REASONS[rejection.status]
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (rejection.status, reason, len(text), text)
            )
        else:
            # an earlier response is in progress, or the application waits for the body
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _raise_rejection(self, status: int, text: str) -> None:
        """Leave the parser, which wraps exceptions of callbacks."""
        self._rejection = RequestRejected(status, text)
        raise self._rejection
