"""Send a stored or arriving response over ASGI: complete, 304, ranges, or head only."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from edge.cache.rules.conditions import NOT_MODIFIED_FIELDS, if_range_matches, is_not_modified
from edge.cache.rules.multipart import Multipart
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.rules.targeted import CDN_FIELDS as CDN_FIELDS
from edge.cache.storage.spool import SpoolReader
from edge.http.fields import Fields, Pairs
from edge.telemetry.request_record import REQUEST_ID_FIELD
from smkex.http.semantics.dates import format_http_date
from smkex.http.semantics.ranges import ByteRange, RangeNotSatisfiable, parse_ranges

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
BLOCK = 256 << 10
# fields that the edge writes itself
_OWN_FOR_PEERS = frozenset({"age", "content-length", "cache-status", "transfer-encoding", REQUEST_ID_FIELD})
_OWN = CDN_FIELDS | _OWN_FOR_PEERS


@dataclass(frozen=True, slots=True)
class Selected:
    """The selected part of a response; `parts` None is the whole body."""

    status: int
    headers: Pairs
    parts: list[ByteRange] | None = None
    multipart: Multipart | None = None
    has_body: bool = True


def select_response(
    entry: StoredResponse, method: str, asked: Fields, *, ranges: bool = True, for_peer: bool = False
) -> Selected:
    """Evaluate the request's conditions and ranges (RFC 9110 section 13.2.2).

    Another edge gets the fields that are for caches, too.
    """
    own = _OWN_FOR_PEERS if for_peer else _OWN
    headers = [pair for pair in entry.headers if pair[0] not in own]
    if is_not_modified(entry, asked):
        # Last-Modified only without an ETag
        kept = NOT_MODIFIED_FIELDS if entry.etag is not None else NOT_MODIFIED_FIELDS | {"last-modified"}
        return Selected(304, [pair for pair in headers if pair[0] in kept], has_body=False)
    has_body = method != "HEAD"
    known = entry.size >= 0
    if known and entry.status == 200 and ranges:
        if "accept-ranges" not in entry.fields:
            headers.append(("accept-ranges", "bytes"))
        if has_body and if_range_matches(entry, asked):
            try:
                parts = parse_ranges(asked.get("range"), entry.size)
            except RangeNotSatisfiable:
                return Selected(
                    416, [("content-range", f"bytes */{entry.size}"), ("content-length", "0")], has_body=False
                )
            if parts is not None:
                return _select_ranges(entry, headers, parts)
    if known and entry.status != 204:
        headers.append(("content-length", str(entry.size)))
    return Selected(entry.status, headers, has_body=has_body)


def _select_ranges(entry: StoredResponse, headers: Pairs, parts: list[ByteRange]) -> Selected:
    if len(parts) == 1:
        more = [("content-range", parts[0].content_range), ("content-length", str(parts[0].length))]
        return Selected(206, headers + more, parts)
    multipart = Multipart.of(parts, entry.fields.get("content-type"))
    rest = [pair for pair in headers if pair[0] != "content-type"]
    more = [("content-type", multipart.content_type), ("content-length", str(multipart.length))]
    return Selected(206, rest + more, parts, multipart)


async def send_stored(
    entry: StoredResponse, file: BinaryIO | None, selected: Selected, more: Pairs, send: Send
) -> None:
    """Send a stored response from memory or from `file`."""
    await start_response(send, selected.status, selected.headers + more)
    if selected.has_body:
        whole = ByteRange(0, entry.size - 1, entry.size)
        for part in selected.parts or [whole]:
            if selected.multipart is not None:
                await _send_body(send, selected.multipart.head(part))
            if file is None:
                assert entry.body is not None
                await _send_body(send, entry.body[part.first : part.last + 1])
            else:
                async for block in _file_blocks(file.fileno(), part):
                    await _send_body(send, block)
        if selected.multipart is not None:
            await _send_body(send, selected.multipart.tail)
    await end_response(send)


async def send_arriving(reader: SpoolReader, selected: Selected, more: Pairs, send: Send) -> None:
    """Send a response while it arrives; at most one range, at which `reader` starts. Raises `SpoolFailed`."""
    await start_response(send, selected.status, selected.headers + more)
    if selected.has_body:
        left = selected.parts[0].length if selected.parts else None
        while left is None or left > 0:
            block = await reader.read(BLOCK if left is None else min(BLOCK, left))
            if not block:
                break
            left = None if left is None else left - len(block)
            await _send_body(send, block)
    await end_response(send)


async def _file_blocks(descriptor: int, part: ByteRange) -> AsyncIterator[bytes]:
    at = part.first
    while at <= part.last:
        block = await _read_block(descriptor, min(BLOCK, part.last + 1 - at), at)
        if not block:
            raise OSError("stored body is truncated")
        at += len(block)
        yield block


async def _read_block(descriptor: int, length: int, at: int) -> bytes:
    """Read directly from the page cache, else in a thread from the disk."""
    try:
        # probe the last byte only: reading all of it this way would copy it
        os.preadv(descriptor, [bytearray(1)], at + length - 1, os.RWF_NOWAIT)
    except BlockingIOError:
        return await asyncio.to_thread(os.pread, descriptor, length, at)
    except OSError:
        pass  # a file system without RWF_NOWAIT
    return os.pread(descriptor, length, at)


async def start_response(send: Send, status: int, headers: Pairs) -> None:
    """Send the head, with Date if it has none (RFC 9110 section 6.6.1)."""
    if all(name != "date" for name, _ in headers):
        headers = [*headers, ("date", format_http_date(time.time()))]
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _send_body(send: Send, data: bytes) -> None:
    if data:
        await send({"type": "http.response.body", "body": data, "more_body": True})


async def end_response(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_text(send: Send, status: int, text: str, more: Pairs | None = None) -> None:
    """Send a short text response of the edge itself."""
    body = f"{text}\n".encode()
    headers = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
    await start_response(send, status, headers + (more or []))
    await send({"type": "http.response.body", "body": body, "more_body": False})
