"""A client of the conformance suite: HTTP/1.1 over TLS, the lines of requests and responses as they are."""

import asyncio
import ssl
from dataclasses import dataclass

PATIENCE = 30  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """`fields`: names in lower case, several lines joined by ", ". `interim`: statuses of 1xx responses before it."""

    status: int
    fields: dict[str, str]
    body: bytes
    interim: list[int]


class PlainClient:
    """One connection at a time, opened again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, lines: list[tuple[str, str]], body: bytes = b"") -> Answer:
        """Send one request and read its answer."""
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await asyncio.open_connection("127.0.0.1", self.port, ssl=self._context)
        reader, writer = self._streams
        given = [("host", "cdn.example"), *lines]
        if body or method in ("POST", "PUT", "PATCH"):
            given.append(("content-length", str(len(body))))
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given), "", ""]
        writer.write("\r\n".join(head).encode("latin-1") + body)
        async with asyncio.timeout(PATIENCE):
            return await self._read(method, reader)

    async def _read(self, method: str, reader: asyncio.StreamReader) -> Answer:
        interim = []
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status >= 200:
                break
            interim.append(status)
        fields: dict[str, str] = {}
        for line in filter(None, lines[1:]):
            name, value = line.split(": ", 1)
            name = name.lower()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        if fields.get("connection") == "close":
            self.close()
        return Answer(status, fields, await self._read_body(method, status, fields, reader), interim)

    async def _read_body(
        self, method: str, status: int, fields: dict[str, str], reader: asyncio.StreamReader
    ) -> bytes:
        if method == "HEAD" or status in (204, 304):
            return b""
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
            return body
        return await reader.readexactly(int(fields["content-length"]))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
