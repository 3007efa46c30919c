"""A request that goes on to the origin as it is, and its answer back, both as streams."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from edge.cache.rules.tags import FIELDS as TAG_FIELDS
from edge.cache.storage.spool import SpoolFailed
from edge.http.fields import Pairs
from edge.http.request import Request
from edge.proxy.responses import Send, end, start
from edge.proxy.upstream import Answer, OriginFailed, Upstream

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyTooLarge(Exception):
    """The request's body is larger than it may be."""


class ClientLeft(Exception):
    """The client went away in the middle of its request's body, or of the answer."""


def body_of(request: Request, receive: Receive, limit: int) -> AsyncIterator[bytes] | None:
    """The request's body as it comes; None when there is none. Raises `BodyTooLarge`, also later."""
    length = request.fields.get("content-length")
    if length is None and "transfer-encoding" not in request.fields:
        return None
    if length is not None and (not length.isdigit() or int(length[:20]) > limit):
        raise BodyTooLarge
    return None if length == "0" else _parts(receive, limit)


async def _parts(receive: Receive, limit: int) -> AsyncIterator[bytes]:
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


async def pass_on(
    upstream: Upstream,
    request: Request,
    body: AsyncIterator[bytes] | None,
    on_head: Callable[[Answer], Awaitable[Pairs]],
    send: Send,
) -> Answer:
    """Relay one exchange. Raises `OriginFailed`, `BodyTooLarge`.

    `on_head` does what is to be done before the client hears of the answer, and gives headers to add to it.
    """
    # 100-continue is this hop's matter: the server has asked the client for the body (RFC 9110 section 10.1.1)
    headers = [pair for pair in request.headers if pair[0] != "expect"]
    async with (
        upstream.passing(request.client),
        upstream.request(request.method, request.target, headers, body) as answer,
    ):
        more = await on_head(answer)
        own = TAG_FIELDS | {"cache-status"}
        await start(send, answer.status, [pair for pair in answer.headers if pair[0] not in own] + more)
        try:
            async for part in answer.parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except OriginFailed as error:
            raise SpoolFailed(str(error)) from None  # the head is out: all that is left is to cut
        await end(send)
        return answer
