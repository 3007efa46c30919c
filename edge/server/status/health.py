"""Health endpoint for the agent: GET /health on the Unix socket edge.sock in the state folder."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

REQUEST_TIMEOUT = 2.0


class HealthEndpoint:
    """A minimal HTTP server on a Unix socket; `facts` is called at each request."""

    def __init__(self, path: Path, facts: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._facts = facts
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, self._path, limit=4096)
        self._path.chmod(0o660)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                request = await reader.readuntil(b"\r\n\r\n")
            known = request.startswith(b"GET /health ")
            body = json.dumps(self._facts() if known else {"title": "only /health"}).encode()
            status = b"200 OK" if known else b"404 Not Found"
            writer.write(
                b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, len(body), body)
            )
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()
