"""The way to an origin, recorded: each request's origin, status and time until its head."""

import asyncio
import os
import time

import httpx

from edge.telemetry.request_record import RequestRecord, current_record
from edge.telemetry.trace_context import TRACEPARENT
from edge.telemetry.traces.span_records import OriginAttempt


class RecordedTransport(httpx.AsyncBaseTransport):
    """Sends by `transport`, for the request of the current task; a retry counts as another request.

    What goes to another edge (`to_shield`) is counted apart: that edge counts its own requests to the origin.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, *, to_shield: bool = False) -> None:
        self._transport = transport
        self._to_shield = to_shield

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        record = current_record.get()
        if record is None:
            return await self._transport.handle_async_request(request)
        record.origin = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        record.origin_status = 0
        began, failed, error = time.monotonic(), True, ""
        span_id = ""
        if record.traces is not None:
            span_id = os.urandom(8).hex()
            request.headers[TRACEPARENT] = record.trace.parent_field(span_id)
            record.lookup_seconds = record.lookup_seconds or began - record.began
        try:
            response = await self._transport.handle_async_request(request)
            record.origin_status = response.status_code
            failed = response.status_code >= 500
            return response
        except asyncio.CancelledError:
            failed, error = False, "cancelled"  # its client left
            raise
        except Exception as broken:
            error = type(broken).__name__
            raise
        finally:
            record.origin_seconds = time.monotonic() - began
            if self._to_shield:
                record.figures.count_shield(failed=failed)
            else:
                record.figures.count_origin(record.origin_seconds, failed=failed)
                record.figures.exemplar = record.request_id, record.origin_seconds, time.time()
            if record.traces is not None:
                record.traces.append(self._attempt_of(record, request, span_id, error))
                record.attempts += 1

    def _attempt_of(
        self, record: RequestRecord, request: httpx.Request, span_id: str, error: str
    ) -> OriginAttempt:
        url, seconds = request.url, record.origin_seconds
        return OriginAttempt(
            record.trace,
            span_id,
            record.service,
            request.method,
            str(url.copy_with(query=None, username=None, password=None)),
            url.host,
            url.port or (443 if url.scheme == "https" else 80),
            record.origin_status,
            error,
            time.time() - seconds,
            seconds,
            self._to_shield,
            record.attempts,
        )

    async def aclose(self) -> None:
        await self._transport.aclose()
