"""An ASGI layer that refuses bodies over a limit before they are read into memory."""

import asyncio
import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from balancer.control.http.problems import of_field, problem_response

LIMIT = 64 * 1024  # the largest honest body but for documents, a secret, is under 40 KB
DOCUMENT_LIMIT = 1024 * 1024  # read only once the caller is known
DOCUMENT_PATH = re.compile(r"/v1/services/[^/]+/(?:revisions|validate)")
SECONDS = 10.0  # in which the whole of it must be here


class BodyLimit:
    """Refuse by Content-Length where it is given, else while counting; and what comes too slowly."""

    def __init__(self, app: ASGIApp, limit: int = LIMIT, seconds: float = SECONDS) -> None:
        self._app = app
        self._usual_limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = DOCUMENT_LIMIT if DOCUMENT_PATH.fullmatch(scope["path"]) else self._usual_limit
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            detail = f"a body may have {limit} bytes"
            response = problem_response(
                413, "body-too-large", detail, of_field("body", detail), {"Connection": "close"}
            )
            await response(scope, receive, send)
            return
        seen, whole, deadline = 0, False, asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()  # waits for the client to go, which may take as long as it likes
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                # the rest may never come: nothing more is read of this connection
                late = {"Connection": "close"}
                raise HTTPException(408, f"a body must be here in {self._seconds:g} s", late) from None
            whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, f"a body may have {limit} bytes", {"Connection": "close"})
            return message

        await self._app(scope, counted, send)
