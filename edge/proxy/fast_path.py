"""The straight way from a simple GET to a fresh response in memory: one parse, one lookup, one write.

Only what needs no decision is answered here: a GET with nothing but harmless fields, for a small fresh response. All
else, from conditions to errors, gives None and takes the way of every request (`http1.py`, `proxy.py`), which decides
alike.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from edge.cache.entry import JOINED, Entry
from edge.cache.rules.cache_status import CacheStatus
from edge.cache.storage.store import Store
from edge.http.request import key_of
from edge.proxy.responses import select

HEAD_LIMIT = 8 << 10
FIELDS_LIMIT = 128
HEADS = 1024  # heads of requests whose parse is kept: a client asks with the same words again and again
HEAD_KEPT = 1 << 10  # bytes of one
# fields that ask for something, or mean something for the connection: the general way reads them
_DECIDE = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"cdn-loop",
        b"connection",
        b"content-length",
        b"expect",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"pragma",
        b"range",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a simple request asks for: the cache's key, and the fields by which variants are selected."""

    key: str
    fields: dict[str, str]


class _Head:
    """Callbacks of one parse. `fields` None: not simple."""

    __slots__ = ("complete", "fields", "host", "url")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.url = b""
        self.host: bytes | None = None
        self.fields: list[tuple[bytes, bytes]] | None = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self.fields is None:
            return
        if name == b"host":
            if self.host is not None:
                self.fields = None
                return
            self.host = value
        elif name == b"connection" and value.lower() == b"keep-alive":
            return
        elif name in _DECIDE or len(self.fields) >= FIELDS_LIMIT:
            self.fields = None
            return
        self.fields.append((name, value))

    def on_message_complete(self) -> None:
        self.complete = True


class HotPath:
    """Answers out of `store`'s memory, as this cache `name`."""

    def __init__(self, store: Store, name: str, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._head = _Head()
        self._parser: Any = httptools.HttpRequestParser(self._head)
        self._asked: dict[bytes, _Asked] = {}
        self.hits = 0

    def answer(self, data: bytes) -> bytes | None:
        """The whole response to `data` if it is exactly one simple GET that memory answers; else None."""
        asked = self._asked.get(data) or self._read(data)
        if asked is None:
            return None
        entry = self._store.remembered(asked.key, asked.fields)
        now = self._clock()
        if entry is None or entry.body is None or now >= entry.fresh_until or "no-cache" in entry.control:
            return None
        self._store.use(entry)
        self.hits += 1
        return self._response(entry, now)

    def _read(self, data: bytes) -> _Asked | None:
        """Parse one whole, simple request; None for anything else."""
        if not data.startswith(b"GET /") or data.find(b"\r\n\r\n") != len(data) - 4 or len(data) > HEAD_LIMIT:
            return None
        head = self._parse(data)
        if head is None or head.fields is None or not head.host:
            return None
        asked = _Asked(key_of(head.host.decode("latin-1"), head.url), _decoded(head.fields))
        if len(data) <= HEAD_KEPT:
            if len(self._asked) == HEADS:
                self._asked.clear()
            self._asked[data] = asked
        return asked

    def _parse(self, data: bytes) -> _Head | None:
        head = self._head
        head.begin()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            head.complete = False
        if (
            head.complete
            and head.host
            and head.fields is not None
            and self._parser.get_http_version() == "1.1"
        ):
            return head
        self._parser = httptools.HttpRequestParser(
            head
        )  # "close", an error, a body to come: the other remembers
        return None

    def _response(self, entry: Entry, now: float) -> bytes:
        """Head and body, kept for as long as Age and ttl stay what they are."""
        assert entry.body is not None
        age, ttl = int(entry.age(now)), int(entry.fresh_until - now)
        kept = entry.hot
        if kept is not None and kept[0] == age and kept[1] == ttl:
            whole = kept[2]
            return whole if entry.size <= JOINED else whole + entry.body
        lines = [STATUS_LINE[entry.status]]
        for name, value in select(entry, "GET", {}).headers:
            lines.append(f"{name}: {value}\r\n".encode("latin-1"))
        status = CacheStatus(hit=True, ttl=ttl).value(self._name)
        lines.append(f"age: {age}\r\ncache-status: {status}\r\n\r\n".encode("latin-1"))
        whole = b"".join(lines)
        if entry.size <= JOINED:
            whole += entry.body
        entry.hot = (age, ttl, whole)
        return whole if entry.size <= JOINED else whole + entry.body


def _decoded(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
