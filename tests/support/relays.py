"""A hostile relay before one port: it carries bytes both ways until the test tells it to misbehave."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

CHUNK = 65536
TICKET = 4096  # bytes


class Relay:
    """Set `flip_after` (bytes towards the client) to change one byte there, `blackhole` to carry nothing more,
    `hold_after` (bytes towards the client) to carry nothing more until `come_back`, `tickets` to carry no more than so
    many bytes for each.

    `instead` is what does the relaying where the test has an attacker of its own.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream = upstream_port
        self.flip_after: int | None = None
        self.hold_after: int | None = None
        self.carried = 0
        self.passing = asyncio.Event()
        self.passing.set()
        self.tickets: asyncio.Semaphore | None = None
        self.connections: list[asyncio.StreamWriter] = []
        self.accepted = 0
        self.instead: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def stop(self) -> None:
        self._server.close()
        self.cut()

    def blackhole(self) -> None:
        self.passing.clear()

    def come_back(self) -> None:
        self.passing.set()

    def cut(self) -> None:
        """A reset of everything that goes through."""
        for writer in self.connections:
            writer.transport.abort()
        self.connections.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.instead is not None:
            await self.instead(reader, writer)
            return
        with contextlib.suppress(OSError):
            upstream, onward = await asyncio.open_connection("127.0.0.1", self.upstream)
            self.connections += [writer, onward]
            await asyncio.gather(
                self._carry(reader, onward, towards_client=False),
                self._carry(upstream, writer, towards_client=True),
            )

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, towards_client: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK if self.tickets is None else TICKET):
                if towards_client and self.hold_after is not None and self.carried >= self.hold_after:
                    self.hold_after = None
                    self.blackhole()
                await self.passing.wait()
                if self.tickets is not None:
                    await self.tickets.acquire()
                if towards_client:
                    data = self._changed(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    def _changed(self, data: bytes) -> bytes:
        self.carried += len(data)
        if self.flip_after is None or self.carried <= self.flip_after:
            return data
        self.flip_after = None
        return data[:-1] + bytes([data[-1] ^ 1])
