"""Answer other edges' agents: GET /peer returns this edge's id and whether it announces, and nothing else.

In clear and for any client that reaches it, so no decision depends on it alone (announcement.py).
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

TIMEOUT = 2.0
CONNECTIONS = 64  # at once; more are closed without an answer
RETRY = 2.0  # seconds until a missing address is tried again


class PeerEndpoint:
    """An HTTP endpoint on this node's tunnel and outside addresses; `facts` is called for each request."""

    def __init__(self, addresses: tuple[str, ...], port: int, facts: Callable[[], dict[str, Any]]) -> None:
        self._addresses = addresses
        self._port = port
        self._facts = facts
        self._open = 0

    async def run(self) -> None:
        """Answer until cancelled, at each address as soon as this host has it."""
        async with contextlib.AsyncExitStack() as stack:
            await asyncio.gather(*(self._listen(stack, address) for address in self._addresses))
            await asyncio.get_running_loop().create_future()

    async def _listen(self, stack: contextlib.AsyncExitStack, address: str) -> None:
        said = False
        while True:
            try:
                server = await asyncio.start_server(self._answer, address, self._port, limit=2048)
            except OSError as error:
                if not said:
                    log.warning("no answer to peers yet", extra={"address": address, "why": str(error)})
                said = True
                await asyncio.sleep(RETRY)
                continue
            stack.callback(server.close)
            return

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > CONNECTIONS:
                return
            async with asyncio.timeout(TIMEOUT):
                known = (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /peer ")
                body = json.dumps(self._facts() if known else {"title": "only /peer"}).encode()
                writer.write(
                    b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                    b"connection: close\r\n\r\n%b"
                    % (b"200 OK" if known else b"404 Not Found", len(body), body)
                )
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            self._open -= 1
            writer.close()
