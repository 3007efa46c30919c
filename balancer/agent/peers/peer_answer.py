"""Answer other edges' agents: GET /peer/NONCE returns this edge's id and how it is, signed over the nonce.

For any client that reaches it, and not encrypted: nothing in it is secret (signed_answer.py).
"""

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import Callable
from typing import Any

from balancer.agent.peers.signed_answer import NONCE_BYTES

log = logging.getLogger(__name__)

TIMEOUT = 2.0
CONNECTIONS = 64  # at once; more are closed without an answer
QUESTION = re.compile(rb"GET /peer/([0-9a-f]{%d}) " % (2 * NONCE_BYTES))
RETRY = 2.0  # seconds until a missing address is tried again


class PeerEndpoint:
    """An HTTP endpoint on this node's tunnel and outside addresses.

    `answer` is called with the nonce of each question, and returns the signed answer, None before there is one.
    """

    def __init__(
        self, addresses: tuple[str, ...], port: int, answer: Callable[[bytes], dict[str, Any] | None]
    ) -> None:
        self._addresses = addresses
        self._port = port
        self._make_answer = answer
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
                asked = QUESTION.match(await reader.readuntil(b"\r\n\r\n"))
                answer = self._make_answer(bytes.fromhex(asked[1].decode())) if asked else None
                body = json.dumps(answer or {"title": "only /peer/NONCE, of an enrolled edge"}).encode()
                writer.write(
                    b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                    b"connection: close\r\n\r\n%b"
                    % (b"200 OK" if answer else b"404 Not Found", len(body), body)
                )
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            self._open -= 1
            writer.close()
