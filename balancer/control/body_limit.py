"""An ASGI layer that refuses bodies over a limit before they are read into memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from balancer.control.problems import problem

LIMIT = 64 * 1024  # the largest honest body, a VIP, is well under 1 KB


class BodyLimit:
    """Refuse by Content-Length where it is given, else while counting."""

    def __init__(self, app: ASGIApp, limit: int = LIMIT) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._limit:
            response = problem(413, "body-too-large", f"a body may have {self._limit} bytes")
            await response(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise HTTPException(413, f"a body may have {self._limit} bytes")
            return message

        await self._app(scope, counted, send)
