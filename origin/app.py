"""The origin as an ASGI application."""

import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from origin.cache_rules import CacheRules
from origin.files import ServedFile, find_file
from smkex.http.semantics.conditions import (
    EntityTag,
    Precondition,
    Validators,
    evaluate_preconditions,
    if_range_matches,
)
from smkex.http.semantics.ranges import ByteRange, RangeNotSatisfiable, parse_ranges

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BLOCK = 256 << 10
ALLOW = (b"allow", b"GET, HEAD, OPTIONS")


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
        if scope["method"] == "OPTIONS":
            return await _start_and_end(send, 204, [ALLOW])
        if scope["method"] not in ("GET", "HEAD"):
            return await _send_text(send, 405, b"only GET and HEAD\n", [ALLOW])
        found = find_file(self._directory, scope["raw_path"])
        if found is None:
            return await _send_text(send, 404, b"not found\n", [])
        if isinstance(found, bytes):
            query = b"?" + scope["query_string"] if scope.get("query_string") else b""
            return await _send_text(send, 301, b"a directory\n", [(b"location", found + query)])
        try:
            await self._serve(found, scope, send)
        finally:
            os.close(found.descriptor)

    async def _serve(self, file: ServedFile, scope: Scope, send: Send) -> None:
        asked = _combine_fields(scope["headers"])
        headers: Headers = [
            (b"etag", file.etag.encode()),
            (b"last-modified", file.last_modified.encode()),
            (b"cache-control", self._rules.of(file.path).encode()),
            (b"accept-ranges", b"bytes"),
        ]
        if tag := self._tags.of(file.path):
            headers.append((b"cache-tag", tag.encode()))
        # a file modified within this second may change again within it (RFC 9110 section 8.8.2.2)
        is_strong = time.time() - file.modified >= 1
        current = Validators(EntityTag.parse(file.etag), file.modified, is_strong)
        match evaluate_preconditions(asked, scope["method"], current):
            case Precondition.NOT_MODIFIED:
                return await _start_and_end(send, 304, headers)
            case Precondition.FAILED:
                return await _send_text(send, 412, b"the file is another than the condition names\n", [])
        part = None
        if scope["method"] == "GET" and if_range_matches(asked, current):
            try:
                part = _single_range(asked.get("range"), file.size)
            except RangeNotSatisfiable:
                headers.append((b"content-range", b"bytes */%d" % file.size))
                return await _send_text(send, 416, b"the range is outside the file\n", headers)
        if part is not None:
            headers.append((b"content-range", part.content_range.encode()))
        if file.coding is not None:
            headers.append((b"content-encoding", file.coding.encode()))
        whole = part or ByteRange(0, file.size - 1, file.size)
        headers.append((b"content-type", file.media_type.encode()))
        headers.append((b"content-length", b"%d" % whole.length))
        status = 200 if part is None else 206
        if scope["method"] == "HEAD":
            return await _start_and_end(send, status, headers)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await _send_file(file, whole, send)


def _combine_fields(pairs: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1"), value.decode("latin-1").strip(" \t")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _single_range(value: str | None, size: int) -> ByteRange | None:
    """The one requested range; None for the whole file. Several ranges are answered with the whole, as is allowed."""
    parts = parse_ranges(value, size)
    return parts[0] if parts is not None and len(parts) == 1 else None


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
