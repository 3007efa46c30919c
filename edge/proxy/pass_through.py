"""Forward a request to the origin unchanged and stream the response back."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from edge.cache.rules.targeted import CDN_FIELDS as CDN_FIELDS
from edge.cache.storage.spool import SpoolFailed
from edge.http.fields import Pairs
from edge.http.origin_response import OriginFailed, OriginResponse
from edge.http.request import ClientRequest
from edge.proxy.responses import Send, end_response, start_response
from edge.proxy.service_request import ServiceRequest
from edge.services.origin_side import OriginSide
from edge.telemetry.request_record import REQUEST_ID_FIELD
from smkex.http.semantics.integers import parse_integer

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyTooLarge(Exception):
    """The request body exceeds the limit."""


class ClientLeft(Exception):
    """The client disconnected during its request body or the response."""


def request_body(request: ServiceRequest, receive: Receive, limit: int) -> AsyncIterator[bytes] | None:
    """Stream the request body; None if there is none. Raises `BodyTooLarge`, also while iterating."""
    length = request.fields.get("content-length")
    if length is None and "transfer-encoding" not in request.fields:
        return None
    size = parse_integer(length)
    if length is not None and (size is None or size > limit):
        raise BodyTooLarge
    return None if size == 0 else _read_body(receive, limit)


async def _read_body(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        if part:
            yield part
        if not message.get("more_body", False):
            return


async def forward_request(
    origins: OriginSide,
    request: ClientRequest | ServiceRequest,
    body: AsyncIterator[bytes] | None,
    on_head: Callable[[OriginResponse], Awaitable[Pairs]],
    send: Send,
) -> OriginResponse:
    """Relay one exchange. Raises `OriginFailed`, `BodyTooLarge`.

    `on_head` runs before the response is sent and returns headers to add to it.
    """
    # 100-continue concerns this hop: the server requests the body from the client (RFC 9110 section 10.1.1)
    headers = [pair for pair in request.headers if pair[0] != "expect"]
    started = False
    try:
        async with origins.request(
            request.method, request.target, headers, body, key=request.key, passing=request.client
        ) as answer:
            more = await on_head(answer)
            own = CDN_FIELDS | {"cache-status", REQUEST_ID_FIELD}
            kept = [pair for pair in answer.headers if pair[0] not in own]
            started = True
            await start_response(send, answer.status, kept + more)
            async for part in answer.parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await end_response(send)
            return answer
    except OriginFailed as error:
        if not started:
            raise
        raise SpoolFailed(str(error)) from None  # the head has been sent: the connection is closed
