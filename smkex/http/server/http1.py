"""HTTP/1.1 on one session: uvicorn's protocol with the limits that a public server needs.

uvicorn and httptools (llhttp) implement parsing, keep-alive, pipelining, chunked coding, Expect and flow control;
llhttp rejects request smuggling: Content-Length with Transfer-Encoding, two lengths, invalid chunks, bare line feeds.
Added here: bounds on heads, a deadline for every wait on the client, a valid Host and target, and trailers are dropped,
which uvicorn would append to the headers of the running request. Upgrade is ignored (RFC 9110 section 7.8), and no
transfer coding is sent to HTTP/1.0 clients.
"""

import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from smkex.http.semantics.authority import Authority
from smkex.http.semantics.targets import parse_target
from smkex.http.server.rejection import RecordRejection, RejectedRequest
from smkex.transport.relay import reset_transport

NEVER = float("inf")
RAW_TARGET = (
    "sennit.target"  # ASGI extension: the target in origin form as written, which tells "/a?" from "/a"
)
CLIENT_GONE = "sennit.client_gone"  # ASGI extension: a function that returns True once the client is gone
# ASGI extension: a function that sets what is called, once, when the connection of the running request is lost
ON_CLIENT_LEFT = "sennit.on_client_left"
# ASGI extension: a function that returns True once path 1 is confirmed too; absent over HTTPS
PATH_CONFIRMED = "sennit.path_confirmed"
# ASGI extension: the session's tag and exports (`SessionExporter`); absent over HTTPS
EXPORTER = "sennit.exporter"
CONNECTION = "sennit.connection"  # ASGI extension: what `open_connection` made of the transport
# ASGI extension: a function that sends fields in a 103 response (RFC 8297), as long as no final one has begun
EARLY_HINTS = "sennit.early_hints"
EARLY_HINTS_LIMIT = 8 << 10  # bytes of one: larger ones are dropped
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    505: b"HTTP Version Not Supported",
}
# a request line that the parser refuses although it is one: llhttp knows a list of methods
_REQUEST_LINE = re.compile(rb"[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ \r\n]+ HTTP/1\.[01]\r?\n")


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
    """Protocol of one session. The server calls `on_deadline` after `deadline`; the application sees `connection`."""

    def __init__(
        self,
        *,
        limits: RequestLimits,
        connection: Any = None,
        record_rejection: RecordRejection | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.parser: Any = self._create_parser()
        self.url = b""
        self._record_rejection = record_rejection
        self._connection = connection
        self._path_confirmed: Callable[[], bool] | None = None
        self.limits = limits
        self.deadline = NEVER
        self._in_head = False
        self._in_body = False
        self._line: bytes | None = None  # the last octet of a request line that has not ended
        self._left = 0  # bytes of the body that have not come, where it has a length
        self._ends_by_lines = False  # of a body in chunks: what may be its last chunk has begun
        self._head_size = 0
        self._beside = 0  # bytes of chunk extensions and trailers in the whole body
        self._chunk = 0  # bytes of data in the current chunk
        self._completed = 0  # requests that the data received last has completed
        self._count = 0
        self._previous: Any = None  # the cycle before the newest
        self._is_lost = False
        self._on_left: tuple[Any, Callable[[], object]] | None = None  # with the cycle
        self._hosts: list[bytes] = []
        self._without_upgrade: bytes | None = None
        self._rejection: RequestRejected | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._path_confirmed = transport.get_extra_info("path_confirmed")
        self.deadline = self.loop.time() + self.limits.idle

    def data_received(self, data: bytes) -> None:
        if self._rejection is not None or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._completed = 0
        # the parser does not say where a request line begins: what may hold two spaces in one is given to it in pieces
        if b"  " not in data and data.endswith(b"\n"):
            return self._receive(data)
        at = 0
        while at < len(data) and self._rejection is None and not self.transport.is_closing():
            end = self._find_end_of_piece(data, at)
            self._receive(data[at:end])
            at = end

    def _find_end_of_piece(self, data: bytes, at: int) -> int:
        """Return where to cut: behind a line, or behind a body, so that no piece has a request line within it."""
        if self._in_body and self._left:
            return min(at + self._left, len(data))
        if self._in_body and not self._ends_by_lines:
            last = 0 if data.startswith(b"0", at) else data.find(b"\n0", at) + 1
            if not last and not data.startswith(b"0", at):
                return len(data)
            self._ends_by_lines = True
            if last > at:
                return last
        return data.find(b"\n", at) + 1 or len(data)

    def _receive(self, data: bytes) -> None:
        if not self._in_head and not self._in_body:
            self._line = b""
        if self._line is not None and self._has_two_spaces(self._line, data):
            return self.reject(RequestRejected(400, "two spaces in the request line"))
        if self._in_head:
            # no callback reports an unfinished line: count the bytes as they arrive
            self._head_size += len(data)
            if self._head_size > self.limits.head:
                return self.reject(RequestRejected(431, "the head exceeds the limit"))
        elif self._in_body:
            self._beside += len(data)  # the callbacks take off what is data, and what a chunk needs around it
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            return self.reject(self._rejection or _rejection_of(error, data, self._completed))
        self._beside = max(0, self._beside)  # a head's own data was not counted
        if self._in_body and self._beside > self.limits.head:
            self.reject(RequestRejected(431, "trailers or chunk extensions exceed the limit"))

    def _has_two_spaces(self, before: bytes, data: bytes) -> bool:
        """Whether a request line has an element too many, which the parser would not mind (RFC 9112 section 3)."""
        line, end, _ = (data if before else data.lstrip(b"\r\n")).partition(b"\n")
        self._line = None if end else line[-1:] or before
        return b"  " in before + line

    def _parse(self, data: bytes) -> None:
        """Feed the parser. A head with Upgrade is parsed again without it: the parser would drop the body."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                head, self._without_upgrade = self._without_upgrade, None
                if head is None:
                    return
                data = head + data[upgrade.args[0] :]
                self.parser = self._create_parser()

    def _create_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # as uvicorn: requests behind one with "close" are ignored, and do not spoil its answer
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress: bytes that arrive now begin one."""
        if self._in_head or self._in_body or self._rejection is not None or self.flow.write_paused:
            return False
        return self.cycle is None or self.cycle.response_complete

    def release(self) -> None:
        """Leave the connection, which is idle, to what made this protocol."""
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self.parser = None
        self.cycle: Any = None

    def eof_received(self) -> bool:
        """The client has ended its direction, which is not leaving: answer what it asked, then close.

        Return False to close once everything written has left: no complete request waits for its response.
        """
        self._in_head = False
        self.deadline = NEVER
        self._withdraw_incomplete()
        if self.cycle is None or self.cycle.response_complete:
            return False
        self.cycle.keep_alive = False  # the server closes after this response
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline = NEVER
        self._is_lost = True
        if self._on_left is not None:
            cycle, on_left = self._on_left
            cycle.disconnected = True  # uvicorn sets that of the newest request alone
            on_left()
        super().connection_lost(exc)

    def _watch_client(self, cycle: Any, on_left: Callable[[], object] | None) -> None:
        self._on_left = (cycle, on_left) if on_left is not None else None
        if self._is_lost and on_left is not None:
            self.loop.call_soon(on_left)  # lost before the application began

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
        self._head_size = self._count = 0
        self._hosts = []
        self.deadline = self.loop.time() + self.limits.head_wait

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.target:
            self._raise_rejection(414, "the request target exceeds the limit")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer (RFC 9110 section 6.5.1: not merged into the headers)
        value = value.strip(b" \t")
        self._count += 1
        self._head_size += len(name) + len(value) + 4
        if self._count > self.limits.fields or self._head_size > self.limits.head:
            self._raise_rejection(431, "the head exceeds the limit")
        if name.lower() == b"host":
            self._hosts.append(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._raise_rejection(505, "this version of HTTP is not supported")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._raise_rejection(501, "CONNECT is not supported")
            self._without_upgrade = self._head_without_upgrade(version)
            return
        try:
            self._check_target(version)
        except ValueError as error:
            self._raise_rejection(400, str(error))
        self._check_codings(version)
        self._check_expectation(version)
        if len(self.pipeline) >= self.limits.waiting - 1:
            self._raise_rejection(400, "too many pipelined requests")
        self._beside = self._chunk = 0
        self._left, self._ends_by_lines = self._body_length(), False
        self.deadline = self.loop.time() + self.limits.body_wait
        self.scope["extensions"] = {CLIENT_GONE: self.transport.is_closing, RAW_TARGET: self.url}
        if self._connection is not None:
            self.scope["extensions"][CONNECTION] = self._connection
        established = self.transport.get_extra_info("smkex")
        if established is not None:
            self.scope["extensions"][EXPORTER] = established.exporter
        if self._path_confirmed is not None:
            self.scope["extensions"][PATH_CONFIRMED] = self._path_confirmed
        previous = self.cycle
        super().on_headers_complete()
        self._previous, self._in_body = previous, True
        self.scope["extensions"][ON_CLIENT_LEFT] = partial(self._watch_client, self.cycle)
        if version == "1.1":
            self.scope["extensions"][EARLY_HINTS] = partial(self._send_early_hints, self.cycle)
        else:
            self.cycle.send = _end_body_by_closing(self.cycle)

    def _body_length(self) -> int:
        """Return the body's length; 0 for chunks and without a body. The parser has refused odd lengths."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def _check_target(self, version: str) -> None:
        """Check Host and target (RFC 9112 section 3.2); an authority in the target replaces Host."""
        if len(self._hosts) > 1 or (not self._hosts and version == "1.1"):
            raise ValueError("exactly one Host field is required")
        for host in self._hosts:
            Authority.parse(host.decode("latin-1"))
        if self.url == b"*" and self.parser.get_method() == b"OPTIONS":
            return
        target = parse_target(self.url)
        self.url = target.path
        if target.authority is not None:
            self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"]
            self.headers.insert(0, (b"host", str(target.authority).encode("ascii")))

    def _check_codings(self, version: str) -> None:
        """Accept no transfer coding but chunked (RFC 9112 sections 6.1 and 6.3)."""
        values = [value for name, value in self.headers if name == b"transfer-encoding"]
        if not values:
            return
        codings = [coding.strip().lower() for coding in b",".join(values).split(b",")]
        if (
            version == "1.0"
            or codings[-1] != b"chunked"
            or codings.count(b"chunked") > 1
            or b"identity" in codings
        ):
            self._raise_rejection(400, "the transfer coding does not delimit the body")
        if codings != [b"chunked"]:
            self._raise_rejection(501, "no transfer coding but chunked is supported")

    def _send_early_hints(self, cycle: Any, fields: list[tuple[bytes, bytes]]) -> None:
        if cycle.response_started or cycle.disconnected or self.flow.write_paused:
            return
        head = b"".join(b"%s: %s\r\n" % field for field in fields)
        if head and len(head) <= EARLY_HINTS_LIMIT:
            self.transport.write(b"HTTP/1.1 103 Early Hints\r\n%s\r\n" % head)

    def _check_expectation(self, version: str) -> None:
        """100-continue is met, for HTTP/1.1 alone; there is no other expectation (RFC 9110 section 10.1.1)."""
        values = b",".join(value for name, value in self.headers if name == b"expect")
        members = {member.strip(b" \t").lower() for member in values.split(b",")} - {b""}
        self.expect_100_continue = version == "1.1" and b"100-continue" in members
        if version == "1.1" and members - {b"100-continue"}:
            self._raise_rejection(417, "no expectation but 100-continue is supported")

    def _head_without_upgrade(self, version: str) -> bytes:
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version.encode("ascii")]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_body(self, body: bytes) -> None:
        self._beside -= len(body)
        self._left = max(0, self._left - len(body))
        self._chunk += len(body)
        self.deadline = self.loop.time() + self.limits.body_wait
        super().on_body(body)

    def on_chunk_complete(self) -> None:
        self._beside -= len(b"%x\r\n\r\n" % self._chunk)
        self._chunk = 0

    def on_message_complete(self) -> None:
        if self._without_upgrade is not None:
            return  # the head is parsed again
        self._in_body = False
        self._completed += 1
        self.deadline = NEVER
        super().on_message_complete()

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if self._rejection is not None and was_last:
            self._send_rejection(self._rejection, None)

    # --- called by the server

    def on_deadline(self) -> None:
        """Reject or close: the client exceeded a deadline."""
        is_incomplete = self._in_head or self._in_body
        if is_incomplete and self.flow.read_paused:
            # the rest may have come: it is not read before the application takes it, or answers
            self.deadline = self.loop.time() + self.limits.body_wait
        elif self.flow.write_paused or (self._in_body and self.cycle.response_started):
            self.deadline = NEVER
            self.transport.abort()
        elif is_incomplete:
            self.reject(RequestRejected(408, "the request was not complete in time"))
        else:
            self.transport.close()

    def reject(self, rejection: RequestRejected) -> None:
        """Answer the requests before this one, then send the error and close.

        A response that has begun before its request was complete is cut.
        """
        self._rejection = rejection
        self.deadline = NEVER
        rejected = self._withdraw_incomplete()
        if rejected is not None and rejected.response_started:
            rejected.transport.close()
        elif self.cycle is None or self.cycle.response_complete:
            self._send_rejection(rejection, rejected.scope if rejected is not None else None)

    def _send_rejection(self, rejection: RequestRejected, scope: MutableMapping[str, Any] | None) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._rejection_response(rejection, scope))
            self.transport.close()

    def _withdraw_incomplete(self) -> Any:
        """Take back the request whose body has not come whole, and return its cycle; None if there is none."""
        if not self._in_body:
            return None
        self._in_body = False
        withdrawn, self.cycle = self.cycle, self._previous
        if self.pipeline:
            self.pipeline.popleft()  # it has not begun
        withdrawn.disconnected = True
        withdrawn.message_event.set()
        return withdrawn

    def _rejection_response(
        self, rejection: RequestRejected, scope: MutableMapping[str, Any] | None
    ) -> bytes:
        text = f"{rejection}\n".encode()
        more = b""
        if self._record_rejection is not None:
            method = self.parser.get_method() if self.url else b""
            rejected = RejectedRequest(rejection.status, len(text), method, self.url, scope)
            more = self._record_rejection(self._connection, rejected)
        return (
            b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\ndate: %s\r\n"
            b"%sconnection: close\r\n\r\n%s"
            % (
                rejection.status,
                _REASONS[rejection.status],
                len(text),
                formatdate(usegmt=True).encode(),
                more,
                text,
            )
        )

    def _raise_rejection(self, status: int, text: str) -> None:
        """Leave the parser, which wraps exceptions of callbacks."""
        self._rejection = RequestRejected(status, text)
        raise self._rejection


def _rejection_of(error: Exception, data: bytes, completed: int) -> RequestRejected:
    """What the parser refused behind `completed` requests: a method that it does not know, a version, or garbage."""
    refused = data.split(b"\r\n\r\n", completed)[-1]  # where none of those has a body
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _REQUEST_LINE.match(refused):
        return RequestRejected(501, "the method is not supported")
    if "HTTP version" in str(error):
        return RequestRejected(505, "this version of HTTP is not supported")
    return RequestRejected(400, "invalid request")


def _end_body_by_closing(cycle: Any) -> Callable[[MutableMapping[str, Any]], Awaitable[None]]:
    """Return a `send` that ends a body without a length by closing: HTTP/1.0 knows no transfer coding."""
    send = cycle.send

    async def send_without_coding(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"transfer-encoding"]
            has_body = cycle.scope["method"] != "HEAD" and message["status"] not in (204, 304)
            if has_body and all(name.lower() != b"content-length" for name, _ in headers):
                cycle.transport = _DelimitingTransport(cycle)
                cycle.chunked_encoding, cycle.expected_content_length = False, sys.maxsize
            message = {**message, "headers": headers}
        elif cycle.expected_content_length > sys.maxsize // 2 and not message.get("more_body", False):
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return send_without_coding


class _DelimitingTransport:
    """A transport whose close is the end of a body: the connection of an incomplete one is reset instead."""

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._transport = cycle.transport

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return bool(self._transport.is_closing())

    def close(self) -> None:
        if self._cycle.response_complete:
            self._transport.close()
        else:
            reset_transport(self._transport)
