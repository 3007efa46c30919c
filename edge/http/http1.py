"""HTTP/1.1 on one session: uvicorn's protocol, with the limits that a server in the open needs.

uvicorn and httptools (llhttp) do the parsing, keep-alive, pipelining, chunks, Expect and flow control; llhttp refuses
what smuggles requests: Content-Length beside Transfer-Encoding, two lengths, bad chunks, bare line feeds. Added here:
a bound on heads, a deadline for every wait on the client, exactly one Host, and trailers dropped, which uvicorn would
append to the headers of a request that is being served.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

NEVER = float("inf")
HAS_LEFT = "sennit.has_left"  # an extension of ASGI: says whether what is sent reaches nobody any more
Hot = Callable[[bytes], bytes | None]
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request, and of waits for the client, in bytes and seconds."""

    head: int = 32 << 10  # browsers stay below 16 KB; servers in front of origins allow 8 to 64
    target: int = 8 << 10  # RFC 9112 section 3 recommends 8,000 octets
    fields: int = 128
    waiting: int = 128  # requests sent ahead of their answers: each takes memory a hundred times its bytes
    idle: float = 60.0  # an open session without a request
    head_wait: float = 10.0  # from the first byte of a head to its end
    body_wait: float = 30.0  # between two pieces of a body
    write_wait: float = 60.0  # for a client that takes nothing of its response


class Refused(Exception):
    """The request is not acceptable; `status` says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Http1(HttpToolsProtocol):  # type: ignore[misc]
    """One session's protocol. Its server calls `overdue` once `deadline` has passed, it calls `lost` at its end."""

    def __init__(
        self,
        *,
        limits: Limits,
        hot: Hot | None = None,
        lost: Callable[[], object] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._hot = hot
        self._lost = lost
        self.limits = limits
        self.deadline = NEVER
        self._in_head = False
        self._in_body = False
        self._head_size = 0
        self._beside = 0  # bytes of reads that brought nothing of a body: of trailers, of chunks' extensions
        self._count = 0
        self._hosts = 0
        self._refusal: Refused | None = None

    # --- asyncio's side

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.deadline = self.loop.time() + self.limits.idle

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None or self.transport.is_closing():
            return
        if self._hot is not None and not self._in_head and self._is_idle():
            response = self._hot(data)
            if response is not None:
                self._unset_keepalive_if_required()
                self.deadline = self.loop.time() + self.limits.idle
                self.transport.write(response)
                return
        self._unset_keepalive_if_required()
        if self._in_head:
            # a line without end is handed out by no callback: the bytes of further reads count as they come
            self._head_size += len(data)
            if self._head_size > self.limits.head:
                return self.refuse(Refused(431, "the head is too long"))
        elif self._in_body:
            if self._beside > self.limits.head:
                return self.refuse(Refused(431, "the trailers are too long"))
            self._beside += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing to upgrade to: it is answered as it stands, and the session closed after it
        except httptools.HttpParserError:
            self.refuse(self._refusal or Refused(400, "not a valid request"))

    def _is_idle(self) -> bool:
        """Whether nothing is begun or waits: bytes that arrive now begin a request."""
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

    # --- the parser's side

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_size = self._count = self._hosts = 0
        self.deadline = self.loop.time() + self.limits.head_wait

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.target:
            self._raise(414, "the target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer (RFC 9110 section 6.5.1: not to be merged into the headers)
        self._count += 1
        self._head_size += len(name) + len(value) + 4
        if self._count > self.limits.fields or self._head_size > self.limits.head:
            self._raise(431, "the head is too long")
        if name.lower() == b"host":
            self._hosts += 1
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._hosts > 1 or (self._hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._raise(400, "one Host is needed")  # RFC 9112 section 3.2
        if (
            self.url[:1] not in (b"/", b"*")
            and b"://" not in self.url
            and self.parser.get_method() != b"CONNECT"
        ):
            self._raise(400, "the target is no path")
        if len(self.pipeline) >= self.limits.waiting - 1:
            self._raise(400, "too many requests wait")
        self._in_body = True
        self._beside = 0
        self.deadline = self.loop.time() + self.limits.body_wait
        self.scope["extensions"] = {HAS_LEFT: self.transport.is_closing}
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

    # --- the server's side

    def overdue(self) -> None:
        """The client has kept us waiting for too long."""
        if self._in_body and self.flow.read_paused:
            return  # we have: the application has not taken what came
        if self.flow.write_paused or (self.cycle is not None and self.cycle.response_started):
            self.deadline = NEVER
            self.transport.abort()
        elif self._in_head or self._in_body:
            self.refuse(Refused(408, "the request took too long"))
        else:
            self.transport.close()

    def refuse(self, refusal: Refused) -> None:
        """Answer, unless a response has begun, and close."""
        self._refusal = refusal
        self.deadline = NEVER
        if self.cycle is None or self.cycle.response_complete:
            text = f"{refusal}\n".encode()
            reason = _REASONS[refusal.status]
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (refusal.status, reason, len(text), text)
            )
        else:
            # an answer to an earlier request is on its way, or the application still waits for the body
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _raise(self, status: int, text: str) -> None:
        """Out of the parser, which wraps what is raised in it."""
        self._refusal = Refused(status, text)
        raise self._refusal
