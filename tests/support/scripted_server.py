"""An HTTP server that sends exactly the given bytes, and counts its connections. Plain, TLS, or in sessions."""

import asyncio
import contextlib
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

END = b"\r\n\r\n"


class Asked(NamedTuple):
    """A request, its fields in lower case."""

    method: str
    target: str
    fields: dict[str, str]


# from a request to what is written, each once the last has gone out
Script = Callable[[Asked], list[bytes] | Awaitable[list[bytes]]]


@dataclass
class ScriptedServer:
    """Answers each request as `script` says."""

    script: Script
    connections: int = 0
    asked: list[Asked] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                said = self.script(asked)
                for part in await said if inspect.isawaitable(said) else said:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()

    def say_later(self, data: bytes) -> None:
        """Write, unasked, to every connection."""
        for writer in self._writers:
            writer.write(data)

    def protocol(self) -> asyncio.Protocol:
        """For one session of a `LoopbackEdge`."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self.serve)

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Yields the port."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(END)).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    fields: dict[str, str] = {}
    for line in filter(None, head[1:]):
        name, value = line.lower().split(": ", 1)
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    await reader.readexactly(int(fields.get("content-length", "0")))
    return Asked(method, target, fields)


def answer(body: bytes | str = b"", *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer whose Content-Length is that of its body, or `length`."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(data) if length is None else length}", *fields]
    return "\r\n".join(lines).encode() + END + data


# what a hostile or broken page adds: a whole response, which would be stored
POISON = answer(b"poison", "cache-control: max-age=600")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"

# method, and the answer to it with something left over behind
LEFT_OVER: dict[str, tuple[str, list[bytes]]] = {
    "a body longer than Content-Length": ("GET", [answer(b"body") + POISON]),
    "more bytes than one read takes": ("GET", [answer(b"body") + POISON * 4000]),
    "a body to HEAD": ("HEAD", [answer(POISON)]),
    "a body to HEAD, written later": ("HEAD", [answer(length=len(POISON)), POISON]),
    "a 204 with a body": ("GET", [b"HTTP/1.1 204 No Content\r\n\r\n" + POISON]),
    "a 204 with a length": ("GET", [answer(POISON, status="204 No Content")]),
    "a 304 with a body": ("GET", [answer(POISON, status="304 Not Modified")]),
    "bytes after the last chunk": ("GET", [CHUNKED + POISON]),
    "a line break after the body": ("GET", [answer(b"body") + b"\r\n"]),
    "half a response": ("GET", [answer(b"body") + POISON[:20]]),
    "a large body and one byte": ("GET", [answer(bytes(1_000_000)) + b"x"]),
    "a length and a coding": ("GET", [CHUNKED.replace(b"\r\n", b"\r\ncontent-length: 4\r\n", 1)]),
}
