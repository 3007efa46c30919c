"""An edge on loopback that serves HTTP: a small application that says what it was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loopback import LoopbackEdge

from smkex.http.server.http_server import HttpServer

LONG = 3_000_000


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was asked; /long is long, /broken breaks off, a body comes back."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    answer = f"{scope['method']} {scope['path']} {headers['host']} {headers.get('via')}\n".encode() + body
    if scope["path"] == "/long":
        answer = b"x" * LONG
    start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
    if scope["path"] == "/headers":
        answer = " ".join(sorted(headers)).encode()
    if scope["path"] == "/chunked":
        await send(start)
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        return await send({"type": "http.response.body", "body": b""})
    start["headers"] = [(b"content-length", b"%d" % len(answer))]
    await send(start)
    if scope["path"] == "/broken":
        await send({"type": "http.response.body", "body": answer[:5], "more_body": True})
        raise RuntimeError("the application breaks")
    await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def http_edge(app: Any = application) -> AsyncIterator[LoopbackEdge]:
    """An edge with any ASGI application, by default the one above."""
    server = HttpServer(app)
    await server.start()
    async with LoopbackEdge(protocol=server.create_protocol) as edge:
        yield edge
    await server.stop()
