"""Fast path: answer a simple GET from the in-memory cache.

It answers a GET without fields that need a decision, for a small fresh response: one parse, one lookup, one write.
Everything else returns None and takes the general path (`caching_proxy.py`), which gives the same answer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from edge.cache.rules.cache_status import CacheStatus
from edge.cache.rules.lifetimes import DIRECTIVE_FIELDS, LifetimePolicy, without_directives
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.store import ResponseStore
from edge.http.fields import Fields
from edge.http.forwarded import is_untrusted_field
from edge.http.request import cache_key
from edge.proxy.coded_responses import CodedResponses
from edge.proxy.responses import select_response
from edge.services.active_service import ActiveService
from edge.services.admission.gate import NotAdmitted
from edge.services.directory import ServiceDirectory
from edge.services.served_connection import ServedConnection
from edge.services.transforms.field_changes import FieldChanges
from edge.telemetry.access_log.fast_hit import FastRequest
from edge.telemetry.request_record import REQUEST_ID_FIELD
from edge.telemetry.telemetry import Telemetry
from services.transforms import Coding

HEAD_LIMIT = 8 << 10
REQUEST_ID_PREFIX = f"{REQUEST_ID_FIELD}: ".encode("ascii")
FIELDS_LIMIT = 128
PARSED_HEADS_LIMIT = 1024  # parsed request heads that are kept: clients repeat theirs
PARSED_HEAD_BYTES = 1 << 10  # bytes of one kept head
# fields that change the response or concern the connection: left to the general path
_GENERAL_PATH_FIELDS = frozenset(
    {
        b"authorization",
        b"cdn-loop",
        b"connection",
        b"content-length",
        b"expect",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class _SimpleRequest:
    """Service, policy of its cache rule, cache key, fields that select variants, and what the log has of the head."""

    service: ActiveService
    policy: LifetimePolicy
    key: str
    fields: Fields
    coding: Coding | None
    recorded: FastRequest


class _HeadParser:
    """Parser callbacks. `fields` is None for a request that is not simple."""

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
            self.host = value = value.strip(b" \t")
        elif name == b"connection" and value.strip(b" \t").lower() == b"keep-alive":
            return
        elif (
            name in _GENERAL_PATH_FIELDS
            or is_untrusted_field(name.decode("latin-1"))
            or len(self.fields) >= FIELDS_LIMIT
        ):
            self.fields = None
            return
        self.fields.append((name, value.strip(b" \t")))

    def on_message_complete(self) -> None:
        self.complete = True


class CacheFastPath:
    """Answers from the memory of `store`; `name` is this cache's in Cache-Status."""

    def __init__(
        self,
        services: ServiceDirectory,
        store: ResponseStore,
        name: str,
        clock: Callable[[], float] = time.time,
        telemetry: Telemetry | None = None,
        coded: CodedResponses | None = None,
    ) -> None:
        self._coded = coded or CodedResponses(store)
        self._telemetry = telemetry or Telemetry()
        self._next_id = self._telemetry.ids.next_id
        self._services = services
        self._catalogue = services.current  # that the requests of `_asked` were read by
        self._unknown = ServedConnection()
        self._store = store
        self._name = name
        self._clock = clock
        self._head = _HeadParser()
        self._parser: Any = httptools.HttpRequestParser(self._head)
        self._asked: dict[bytes, _SimpleRequest] = {}
        self.hits = 0

    def answer(self, data: bytes, connection: ServedConnection | None = None) -> bytes | None:
        """Return the response if `data` is exactly one simple GET that memory can answer, else None."""
        if self._catalogue is not self._services.current:
            self._catalogue = self._services.current
            self._asked.clear()
        asked = self._asked.get(data) or self._read(data)
        if asked is None:
            return None
        connection = connection or self._unknown
        is_admitted = connection.admitted is asked.service and connection.catalogue is self._catalogue
        if not is_admitted and not self._admit(connection, asked.service):
            return None
        entry = self._store.find_in_memory(asked.key, asked.fields, asked.policy)
        now = self._clock()
        if entry is None or now >= entry.fresh_until or "no-cache" in entry.control:
            return None
        codings = asked.service.codings
        if codings is not None:
            self._store.record_use(entry)
            entry = self._coded.find_in_memory(entry, codings, asked.coding)
        if entry is None or entry.body is None:
            return None
        if connection.is_limited and not _take_share(connection, entry.size):
            return None
        self._store.record_use(entry)
        self.hits += 1
        request_id = self._next_id()
        response = self._response(entry, now, request_id, asked.service.client_fields)
        ttl = int(entry.fresh_until - now)
        self._telemetry.record_hit(
            now, request_id, connection, asked.recorded, entry.status, len(entry.body), ttl
        )
        return response

    def _admit(self, connection: ServedConnection, service: ActiveService) -> bool:
        """Admit a connection to a service, once for each catalogue; the general path answers what is refused."""
        if not self._catalogue.may_ask(connection.server_name, service):
            return False
        try:
            service.admit_connection(connection, time.monotonic())
        except NotAdmitted:
            return False
        connection.catalogue = self._catalogue
        return True

    def _read(self, data: bytes) -> _SimpleRequest | None:
        """Parse one complete simple request; None for anything else."""
        if not data.startswith(b"GET /") or data.find(b"\r\n\r\n") != len(data) - 4 or len(data) > HEAD_LIMIT:
            return None
        head = self._parse(data)
        if head is None or head.fields is None or not head.host:
            return None
        try:
            asked = self._route(head.host.decode("latin-1"), head.url, _decode_fields(head.fields))
        except ValueError:
            return None
        if asked is None:
            return None
        if len(data) <= PARSED_HEAD_BYTES:
            if len(self._asked) == PARSED_HEADS_LIMIT:
                self._asked.clear()
            self._asked[data] = asked
        return asked

    def _route(self, host: str, target: bytes, fields: dict[str, str]) -> _SimpleRequest | None:
        """Find service, rule and key, as the general path does; None for what that one answers. Raises `ValueError`."""
        service = self._catalogue.find_service(host)
        if service is None or not service.is_http:
            return None
        url = cache_key(host, target)
        rule = service.find_rule("GET", url.partition(" ")[2])
        if (
            service.gate.verifier is not None
            or service.redirects.find_redirect(url.partition(" ")[2]) is not None
        ):
            return None
        if rule.bypass or (rule.client_directives and not fields.keys().isdisjoint(DIRECTIVE_FIELDS)):
            return None
        counted = fields if rule.client_directives else without_directives(fields)
        key = service.key_prefix + rule.key.url_key(url) + rule.key.request_suffix(counted)
        recorded = self._telemetry.fast_request(fields, target, service.name, service.revision)
        coding = service.codings.choose_coding(counted) if service.codings is not None else None
        return _SimpleRequest(service, rule.policy, key, counted, coding, recorded)

    def _parse(self, data: bytes) -> _HeadParser | None:
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
        # the old parser holds state: "close", an error or an expected body
        self._parser = httptools.HttpRequestParser(head)
        return None

    def _response(self, entry: StoredResponse, now: float, request_id: bytes, changes: FieldChanges) -> bytes:
        """Head and body; all but the request's id is kept while Age, ttl and the service's changes stay the same."""
        assert entry.body is not None
        age, ttl = int(entry.age(now)), int(entry.fresh_until - now)
        kept = entry.prepared
        if kept is None or kept[0] != age or kept[1] != ttl or kept[3] is not changes:
            kept = entry.prepared = (age, ttl, self._prepared_head(entry, age, ttl, changes), changes)
        return b"".join((kept[2], request_id, b"\r\n\r\n", entry.body))

    def _prepared_head(self, entry: StoredResponse, age: int, ttl: int, changes: FieldChanges) -> bytes:
        """Return the head up to the request's id."""
        status = CacheStatus(hit=True, ttl=ttl).value(self._name)
        pairs = [*select_response(entry, "GET", {}).headers, ("age", str(age)), ("cache-status", status)]
        lines = [f"{name}: {value}\r\n" for name, value in changes.change_fields(pairs)]
        return b"".join((STATUS_LINE[entry.status], "".join(lines).encode("latin-1"), REQUEST_ID_PREFIX))


def _take_share(connection: ServedConnection, size: int) -> bool:
    """Count a request of `size` bytes against the limits of the connection; False where the general path waits."""
    now = time.monotonic()
    if connection.pacer is not None and connection.pacer.delay(now) > 0:
        return False
    if connection.bucket is not None and not connection.bucket.take_token(now):
        return False
    if connection.pacer is not None:
        connection.pacer.record_sent(size, now)
    return True


def _decode_fields(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
