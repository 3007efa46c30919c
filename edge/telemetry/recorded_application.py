"""An ASGI application whose requests are recorded: its answers get the request's id, their bytes are counted."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from edge.telemetry.connection_facts import facts_of
from edge.telemetry.figures import NO_SERVICE
from edge.telemetry.request_record import REQUEST_ID_FIELD, REQUEST_RECORD, RequestRecord, current_record
from edge.telemetry.telemetry import Telemetry
from smkex.http.server.http1 import CLIENT_GONE, CONNECTION, RAW_TARGET

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_ID_FIELD = REQUEST_ID_FIELD.encode("ascii")
_FAILED = b"internal server error\n"


class RecordedApplication:
    """Wraps `app`, whose requests are of `service` unless it assigns another."""

    def __init__(self, app: Any, telemetry: Telemetry, service: str = NO_SERVICE) -> None:
        self._app = app
        self._service = service
        self._telemetry = telemetry

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = self._record_of(scope)
        current_record.set(record)
        if self._service != NO_SERVICE:
            self._telemetry.assign_service(self._service, 0)
        exchange = _Exchange(record, scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            await exchange.fail()
            raise
        finally:
            self._telemetry.finish_request(record)

    @staticmethod
    def target_of(scope: Message) -> bytes:
        """Return the target as it was requested."""
        raw: bytes | None = scope.get("extensions", {}).get(RAW_TARGET)
        if raw is None:
            query = scope["query_string"]
            raw = scope["raw_path"] + (b"?" + query if query else b"")
        return raw

    def _record_of(self, scope: Message) -> RequestRecord:
        extensions = scope.setdefault("extensions", {})
        record: RequestRecord | None = extensions.get(
            REQUEST_RECORD
        )  # the server may have refused it meanwhile
        if record is None:
            connection = facts_of(extensions.get(CONNECTION))
            record = self._telemetry.begin_request(
                connection, scope["method"], self.target_of(scope), scope["headers"]
            )
            extensions[REQUEST_RECORD] = record
        return record


class _Exchange:
    """One request's messages on their way between server and application."""

    def __init__(self, record: RequestRecord, scope: Message, receive: Receive, send: Send) -> None:
        self._record = record
        self._is_gone = scope["extensions"].get(CLIENT_GONE)
        self._has_body = scope["method"] != "HEAD"
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._record.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = self._begin_response(message)
        # asked before: the server closes the connection with the last part where the client asked for that
        is_gone = self._is_gone is not None and self._is_gone()
        await self._send(message)
        if message["type"] != "http.response.body" or is_gone:
            return
        if self._has_body:
            self._record.bytes_out += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._record.complete = True

    def _begin_response(self, message: Message) -> Message:
        record = self._record
        record.status = message["status"]
        record.note_first_byte()
        headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != _ID_FIELD]
        members = [value for name, value in headers if name == b"cache-status"]
        if members:  # the last is this cache's (RFC 9211 section 2)
            record.cache_status = members[-1].decode("latin-1").partition("; ")[2]
        headers.append((_ID_FIELD, record.request_id.encode("ascii")))
        return {**message, "headers": headers}

    async def fail(self) -> None:
        """Answer for an application that failed before its response began."""
        if self._record.status:
            return
        length = b"%d" % len(_FAILED)
        headers = [(b"content-type", b"text/plain"), (b"content-length", length), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": _FAILED})
