"""Send a response as its service wants it: with other header fields, and no faster than its sessions may be."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from edge.proxy.responses import Send
from edge.services.active_service import ActiveService
from edge.services.admission.pacing import SessionPacer
from edge.services.transforms.field_changes import FieldChanges

SMALLEST_PART = 16 << 10  # bytes that are sent at once, however slow a session is


def service_sender(service: ActiveService, pacer: SessionPacer | None, send: Send) -> Send:
    """Return what sends the responses of a service over one connection."""
    if pacer is not None:
        send = _paced_sender(pacer, send)
    return _changing_sender(service.client_fields, send) if service.client_fields else send


def _changing_sender(changes: FieldChanges, send: Send) -> Send:
    async def send_changed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            pairs = [
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in message["headers"]
            ]
            changed = changes.change_fields(pairs)
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in changed]
            message = {**message, "headers": headers}
        await send(message)

    return send_changed


def _paced_sender(pacer: SessionPacer, send: Send) -> Send:
    step = max(SMALLEST_PART, pacer.rate // 4)

    async def send_paced(message: MutableMapping[str, Any]) -> None:
        body = message.get("body", b"")
        while len(body) > step:
            await send_part({**message, "body": body[:step], "more_body": True})
            body = body[step:]
        await send_part({**message, "body": body} if body else message)

    async def send_part(message: MutableMapping[str, Any]) -> None:
        size = len(message.get("body", b""))
        delay = pacer.delay(time.monotonic()) if size else 0.0
        if delay > 0:
            await asyncio.sleep(delay)
        pacer.record_sent(size, time.monotonic())
        await send(message)

    return send_paced
