"""The way to an origin, recorded: each request's origin, status and time until its head."""

import asyncio
import time

import httpx

from edge.telemetry.request_record import current_record


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
        began, failed = time.monotonic(), True
        try:
            response = await self._transport.handle_async_request(request)
            record.origin_status = response.status_code
            failed = response.status_code >= 500
            return response
        except asyncio.CancelledError:
            failed = False  # its client left
            raise
        finally:
            record.origin_seconds = time.monotonic() - began
            if self._to_shield:
                record.figures.count_shield(failed=failed)
            else:
                record.figures.count_origin(record.origin_seconds, failed=failed)
                record.figures.exemplar = record.request_id, record.origin_seconds, time.time()

    async def aclose(self) -> None:
        await self._transport.aclose()
