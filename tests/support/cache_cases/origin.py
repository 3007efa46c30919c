"""The origin of the conformance suite: each case has a path of its own, and what is answered there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from time import time

from cache_cases.case import At, Reply

NUMBER = "answer-number"  # a field of every response with content: which of the case's answers it is
UNCHANGED = ("cache-control", "content-location", "date", "etag", "expires", "vary", "last-modified")


@dataclass(slots=True)
class Asked:
    """A request as the origin saw it; `answered` is the status of its answer, `number` that of the answer."""

    method: str
    fields: dict[str, str]
    body: bytes
    answered: int
    number: int


@dataclass(slots=True)
class CaseState:
    """What is answered below a case's path, and what was asked there."""

    path: str
    start: float
    reply: Reply = field(default_factory=Reply)
    asked: list[Asked] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def text_of(self, value: str | At) -> str:
        """As it is sent: dates count from the start, {path} is the case's own."""
        return value.text(self.start) if isinstance(value, At) else value.replace("{path}", self.path)


class CaseOrigin:
    """`cases` by the first segment of the path."""

    def __init__(self) -> None:
        self.cases: dict[str, CaseState] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False to close."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields: dict[str, str] = {}
        for line in filter(None, lines[1:]):
            name, value = line.split(": ", 1)
            name = name.lower()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        case = self.cases.get(target.split("/")[1].partition("?")[0])
        if case is None:  # the edge's own look whether we are there
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return True
        reply = case.reply
        written, status = _write_reply(case, reply, method, fields)
        case.asked.append(Asked(method, fields, body, status, len(case.asked)))
        case.changed.set()
        if reply.closes:
            return False
        writer.write(written)
        return True


def _write_reply(case: CaseState, reply: Reply, method: str, fields: dict[str, str]) -> tuple[bytes, int]:
    lines = [(name, case.text_of(value)) for name, value in reply.lines if value is not None]
    if all(name != "date" for name, _ in reply.lines):
        lines.append(("date", formatdate(time(), usegmt=True)))
    lines.append((NUMBER, str(len(case.asked))))
    status = reply.status
    body = (reply.body if reply.body is not None else f"answer {len(case.asked)}").encode()
    if reply.validates and status == 200 and method in ("GET", "HEAD") and _condition_holds(lines, fields):
        status, body = 304, b""
        lines = [(name, value) for name, value in lines if name in UNCHANGED]
    if status == 304:
        lines = [(name, value) for name, value in lines if name != NUMBER]
    elif status != 204:
        lines.append(("content-length", str(len(body))))
    head = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in lines)]
    interim = "".join(
        "\r\n".join([f"HTTP/1.1 {code} Interim", *(f"{name}: {value}" for name, value in named), "", ""])
        for code, named in reply.interim
    )
    text = interim + "\r\n".join([*head, "", ""])
    content = b"" if method == "HEAD" or status in (204, 304) else body
    return text.encode("latin-1") + content, status


def _condition_holds(lines: list[tuple[str, str]], fields: dict[str, str]) -> bool:
    shown = dict(lines)
    if "if-none-match" in fields:
        return "etag" in shown and shown["etag"] in fields["if-none-match"]
    return "last-modified" in shown and fields.get("if-modified-since") == shown["last-modified"]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Whatever"


@asynccontextmanager
async def case_origin() -> AsyncIterator[tuple[CaseOrigin, str]]:
    """Serve on loopback; gives the origin and its URL."""
    origin = CaseOrigin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    try:
        yield origin, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
