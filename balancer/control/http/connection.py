"""uvicorn's HTTP/1.1, with the bounds that it lacks on waiting for a client: to end a head, to take an answer.

What comes after the head is bounded by `body_limit`, the time between requests by uvicorn's keep-alive.
"""

import asyncio
import http
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from balancer.control.http.joined_writes import JoinedWrites
from balancer.control.http.problems import of_field, problem_response

HEAD_SECONDS = 10.0  # from the connection, or the first byte of a further request, to the end of the head
HEAD_BYTES = 16 * 1024  # beyond what has come in one read, which asyncio bounds
WRITE_SECONDS = 30.0  # without taking enough of an answer that more can be sent


class BoundedConnection(HttpToolsProtocol):  # type: ignore[misc]
    """One connection's protocol; ends those that keep us waiting."""

    def __init__(
        self,
        *arguments: Any,
        head_seconds: float = HEAD_SECONDS,
        head_bytes: int = HEAD_BYTES,
        write_seconds: float = WRITE_SECONDS,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._head_seconds, self._head_bytes, self._write_seconds = head_seconds, head_bytes, write_seconds
        self._in_head = False
        self._head_due: asyncio.TimerHandle | None = None
        self._write_due: asyncio.TimerHandle | None = None
        self._size = 0
        self._refusal: bytes | None = None  # waits until the requests before are answered

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedWrites(transport, self.loop))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing() or self._refusal is not None:
            return
        if self.cycle is None or self.cycle.response_complete:
            self._in_head = True
        super().data_received(data)
        if (
            self._in_head and not self.transport.is_closing() and self._refusal is None
        ):  # nearly always it is here whole, and no timer is needed
            self._expect_head()
            self._size += len(data)
            if self._size > self._head_bytes:
                self._refuse(
                    431, "head-too-large", f"the head of a request may have {self._head_bytes} bytes"
                )

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser refuses."""
        self._refuse(400, "invalid-request", "the request is no valid HTTP/1.1")

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if was_last and self._refusal is not None and not self.transport.is_closing():
            self._end_with(self._refusal)

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_due = self.loop.call_later(self._write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_due is not None:
            self._write_due.cancel()
            self._write_due = None

    def _expect_head(self) -> None:
        self._in_head = True
        if self._head_due is None:
            self._size = 0
            self._head_due = self.loop.call_later(self._head_seconds, self._head_is_late)

    def _head_is_here(self) -> None:
        self._in_head = False
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _head_is_late(self) -> None:
        if self._size:
            detail = f"the head of a request must be here in {self._head_seconds:g} s"
            self._refuse(408, "head-too-slow", detail)
        else:
            self._head_is_here()
            self.transport.close()

    def _refuse(self, status: int, slug: str, detail: str) -> None:
        self._head_is_here()
        response = problem_response(status, slug, detail, of_field("head", detail), {"Connection": "close"})
        start = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}".encode()
        fields = [b"%b: %b" % field for field in response.raw_headers]
        refusal = b"\r\n".join([start, *fields, b"", bytes(response.body)])
        newest = self.cycle
        if newest is None or newest.response_complete:
            return self._end_with(refusal)
        if not newest.more_body:
            self._refusal = refusal
        elif self.pipeline:
            self.pipeline.popleft()  # the newest has not begun
            self._refusal = refusal
        else:
            newest.disconnected = True
            newest.message_event.set()
            self._end_with(refusal if not newest.response_started else b"")

    def _end_with(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()
