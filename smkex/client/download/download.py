"""Download one URL into a file; an invalid continuation is fetched again from the start."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from smkex.client.download.partial_file import PartialFile, PartialState, reporting_write_errors
from smkex.client.download.redirects import REDIRECT_LIMIT, redirect_target, redirected_method

ERROR_BODY_LIMIT = 64 << 10  # bytes of an error's page

Progress = Callable[[int, int | None], None]
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class HttpRefused(Exception):
    """The server answered with a status other than success."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code} {response.reason_phrase}")
        # never followed: it may lead out of the CDN, and out of the session
        self.location = response.headers.get("location") if response.is_redirect else None


@dataclass(frozen=True, slots=True)
class Fetched:
    """`received` bytes now, after `start` bytes kept earlier; `status` is the HTTP status."""

    status: int
    start: int
    received: int


@dataclass(slots=True)
class Download:
    """One download: `progress(received, total)` is called with bytes, `rate` is in bytes per second."""

    client: httpx.AsyncClient
    url: str
    headers: Sequence[tuple[str, str]]
    progress: Progress = lambda so_far, total: None
    rate: float | None = None
    method: str = "GET"
    content: bytes | None = None
    follow: bool = False  # redirects inside the host

    async def to_stream(self, file: BinaryIO) -> Fetched:
        """Raises `HttpRefused`, `SmkexError`, `httpx.TransportError`, OSError, `CannotWrite`."""
        async with self._get(self.headers) as response:
            await self._require_content(response)
            if self.method == "HEAD":
                size = _write_head(response, file)
            else:
                size = await self._copy(response, file, 0, _content_length(response))
            return Fetched(response.status_code, 0, size)

    async def to_file(self, target: Path, *, resume: bool) -> Fetched:
        """Write to `target`, which appears only when whole.

        An interrupted download stays beside it as FILE.part if it can be resumed, which `resume` does. Raises as
        `to_stream`, `CannotWrite` and `PartialFileBusy`.
        """
        partial = PartialFile(target, self.url)
        with partial.opened() as file:
            kept = partial.kept() if resume else None
            if kept is not None and kept.offset == kept.total:
                partial.complete()
                return Fetched(206, kept.offset, 0)
            fetched = await self._continue(file, kept) if kept is not None else None
            fetched = fetched or await self._whole(file, partial)
            partial.complete()
            return fetched

    async def _continue(self, file: BinaryIO, kept: PartialState) -> Fetched | None:
        """Return None if the representation changed, or the answer is not the requested range."""
        asked = [*self.headers, ("range", f"bytes={kept.offset}-"), ("if-range", kept.etag)]
        async with self._get(asked) as response:
            if response.status_code != 206 or not _is_rest_of(response, kept):
                return None
            end = _range_end(response)
            size = await self._copy(response, file, kept.offset, end)
            if kept.offset + size != end:
                raise httpx.RemoteProtocolError(
                    f"the part has {size} bytes, Content-Range announces {end - kept.offset}"
                )
            return Fetched(206, kept.offset, size)

    async def _whole(self, file: BinaryIO, partial: PartialFile) -> Fetched:
        async with self._get(self.headers) as response:
            await self._require_content(response)
            if self.method == "HEAD":
                partial.begin(file, "", None)
                return Fetched(response.status_code, 0, _write_head(response, file))
            total = _content_length(response)
            # a part that the caller asked for by a header cannot be continued by ours, nor an answer to a POST
            continues = response.status_code == 200 and self.method == "GET"
            partial.begin(file, response.headers.get("etag", "") if continues else "", total)
            return Fetched(response.status_code, 0, await self._copy(response, file, 0, total))

    async def _require_content(self, response: httpx.Response) -> None:
        asked = any(name.lower() == "range" for name, _ in self.headers)
        if response.is_success and (response.status_code != 206 or asked):
            return
        if (_content_length(response) or 0) <= ERROR_BODY_LIMIT:
            await response.aread()  # so that the session can serve the next request
        raise HttpRefused(response)

    @asynccontextmanager
    async def _get(self, headers: Sequence[tuple[str, str]]) -> AsyncIterator[httpx.Response]:
        """Send the request, and those that redirects inside the host lead to."""
        chosen = any(name.lower() == "accept-encoding" for name, _ in headers)
        sent = [*([] if chosen else [("accept-encoding", "identity")]), *headers]
        url, method, content = self.url, self.method, self.content
        for left in range(REDIRECT_LIMIT, -1, -1):
            async with self.client.stream(method, url, headers=sent, content=content) as response:
                target = redirect_target(url, response) if self.follow and left else None
                if target is None:
                    yield response
                    return
                if (_content_length(response) or 0) <= ERROR_BODY_LIMIT:
                    await response.aread()  # so that the session can serve the next request
            url, before = target, method
            method = redirected_method(before, response.status_code)
            if method != before:
                content, sent = None, [pair for pair in sent if pair[0].lower() != "content-type"]

    async def _copy(self, response: httpx.Response, file: BinaryIO, start: int, total: int | None) -> int:
        size, began = 0, time.monotonic()
        limit = total - start if total is not None else None
        async for part in response.aiter_raw():
            if limit is not None and size + len(part) > limit:
                raise httpx.RemoteProtocolError(f"the body has more than the announced {limit} bytes")
            with reporting_write_errors(file.name):
                file.write(part)
            size += len(part)
            self.progress(start + size, total)
            if self.rate:
                # unread data fills the session's window, so the edge pauses
                await asyncio.sleep(max(0.0, began + size / self.rate - time.monotonic()))
        with reporting_write_errors(file.name):
            file.flush()
        return size


def _write_head(response: httpx.Response, file: BinaryIO) -> int:
    """Write status line and fields as they came; return how many bytes that is."""
    lines = [b"HTTP/1.1 %d %s" % (response.status_code, response.reason_phrase.encode("latin-1", "replace"))]
    lines += [name + b": " + value for name, value in response.headers.raw]
    text = b"\r\n".join(lines) + b"\r\n\r\n"
    with reporting_write_errors(file.name):
        file.write(text)
        file.flush()
    return len(text)


def _content_length(response: httpx.Response) -> int | None:
    given = response.headers.get("content-length", "")
    return int(given) if given.isdigit() else None


def _is_rest_of(response: httpx.Response, kept: PartialState) -> bool:
    """Return whether this is exactly the missing rest of `kept`."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None or response.headers.get("etag", kept.etag) != kept.etag:
        return False
    first, last, total = int(found[1]), int(found[2]), found[3]
    whole = total == "*" or int(total) == last + 1
    return first == kept.offset and whole and kept.total in (None, last + 1)


def _range_end(response: httpx.Response) -> int:
    """Return the position after the last byte of a 206 that `_is_rest_of` accepts."""
    found = _CONTENT_RANGE.fullmatch(response.headers["content-range"])
    assert found is not None
    return int(found[2]) + 1
