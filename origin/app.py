"""The origin as an ASGI application."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from origin.cache_rules import CacheRules
from origin.conditions import ByteRange, Unsatisfiable, not_modified, wanted_range
from origin.files import ServedFile, open_below

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BLOCK = 256 << 10


class OriginApp:
    """Serve the files below `directory`: GET and HEAD, validators, ranges."""

    def __init__(self, directory: Path, max_age: int, rules: str = "", tags: str = "") -> None:
        """`rules` and `tags` are parsed by `CacheRules.parse`; without a match `max-age` is `max_age`, without tags."""
        self._directory = directory
        self._rules = CacheRules.parse(rules, f"public, max-age={max_age}")
        self._tags = CacheRules.parse(tags, "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            return await _send_text(send, 405, b"only GET and HEAD\n", [(b"allow", b"GET, HEAD")])
        file = open_below(self._directory, scope["raw_path"])
        if file is None:
            return await _send_text(send, 404, b"not found\n", [])
        try:
            await self._serve(file, scope, send)
        finally:
            os.close(file.descriptor)

    async def _serve(self, file: ServedFile, scope: Scope, send: Send) -> None:
        asked = dict(scope["headers"])
        headers: Headers = [
            (b"etag", file.etag.encode()),
            (b"last-modified", file.last_modified.encode()),
            (b"cache-control", self._rules.of(scope["path"]).encode()),
            (b"accept-ranges", b"bytes"),
        ]
        if tag := self._tags.of(scope["path"]):
            headers.append((b"cache-tag", tag.encode()))
        if not_modified(asked, file.etag, file.modified):
            return await _start_and_end(send, 304, headers)
        try:
            part = (
                wanted_range(asked, file.size, file.etag, file.modified) if scope["method"] == "GET" else None
            )
        except Unsatisfiable:
            headers.append((b"content-range", b"bytes */%d" % file.size))
            return await _send_text(send, 416, b"the range is outside the file\n", headers)
        status = 200
        if part is not None:
            status = 206
            headers.append((b"content-range", b"bytes %d-%d/%d" % (part.first, part.last, file.size)))
        whole = part or ByteRange(0, file.size - 1)
        headers.append((b"content-type", file.media_type.encode()))
        headers.append((b"content-length", b"%d" % (whole.last - whole.first + 1)))
        if scope["method"] == "HEAD":
            return await _start_and_end(send, status, headers)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await _send_file(file, whole, send)


async def _send_file(file: ServedFile, part: ByteRange, send: Send) -> None:
    at = part.first
    while at <= part.last:
        block = os.pread(file.descriptor, min(BLOCK, part.last + 1 - at), at)
        if not block:
            raise OSError("the file was truncated while it was served")
        at += len(block)
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start_and_end(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _send_text(send: Send, status: int, text: bytes, headers: Headers) -> None:
    more: Headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *more]})
    await send({"type": "http.response.body", "body": text})
