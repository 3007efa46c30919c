"""A channel between two attackers: named values, sent by one and awaited by the other, over a Unix socket.

Attackers that cannot talk ("/" in the table) have no `AttackerChannel`: what they share was agreed before.
"""

import asyncio
import json
from pathlib import Path

LIMIT = 1 << 16


class AttackerChannel:
    """One end. The path-0 attacker listens, that of path 1 connects."""

    def __init__(self) -> None:
        self._known: dict[str, asyncio.Future[bytes]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._met = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def listen(self, path: Path) -> None:
        await asyncio.start_unix_server(self._accept_peer, path, limit=LIMIT)

    async def connect(self, path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path, limit=LIMIT)
        self._task = asyncio.create_task(self._accept_peer(reader, writer))

    async def send_value(self, name: str, value: bytes) -> None:
        """Give the other a value."""
        await self._met.wait()
        assert self._writer is not None
        self._writer.write(json.dumps([name, value.hex()]).encode() + b"\n")
        await self._writer.drain()

    async def await_value(self, name: str) -> bytes:
        """Wait for a value that the other gives; the caller bounds the time."""
        return await asyncio.shield(self._future(name))

    async def _accept_peer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._met.set()
        while line := await reader.readline():
            name, value = json.loads(line)
            future = self._future(name)
            if not future.done():
                future.set_result(bytes.fromhex(value))

    def _future(self, name: str) -> asyncio.Future[bytes]:
        return self._known.setdefault(name, asyncio.get_running_loop().create_future())
