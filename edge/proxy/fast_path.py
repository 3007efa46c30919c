"""Fast path: answer a simple GET from the in-memory cache.

It answers a GET without fields that need a decision, for a fresh response whose body is in memory. What a request asks
for is found by its bytes, and so is its answer, which is prepared but for the request's id: it holds until its Age or
ttl changes, or until the response leaves the memory. Everything else returns None and takes the general path
(`caching_proxy.py`), which gives the same answer.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from edge.cache.rules.cache_status import CacheStatus
from edge.cache.rules.lifetimes import DIRECTIVE_FIELDS, LifetimePolicy, without_directives
from edge.cache.rules.prepared_answer import PreparedAnswer
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.store import ResponseStore
from edge.http.fields import Fields
from edge.http.forwarded import is_untrusted_field
from edge.http.request import cache_key
from edge.proxy.coded_responses import CodedResponses
from edge.proxy.responses import select_response
from edge.proxy.service_sending import SMALLEST_PART
from edge.services.active_service import ActiveService
from edge.services.admission.gate import NotAdmitted
from edge.services.directory import ServiceDirectory
from edge.services.served_connection import ServedConnection
from edge.services.transforms.field_changes import FieldChanges
from edge.telemetry.access_log.fast_hit import FastRequest, HitOutcome
from edge.telemetry.request_record import REQUEST_ID_FIELD
from edge.telemetry.telemetry import Telemetry
from services.transforms import Coding

HEAD_LIMIT: Final = 8 << 10
REQUEST_ID_PREFIX: Final = f"{REQUEST_ID_FIELD}: ".encode("ascii")
HEAD_END: Final = b"\r\n\r\n"
FIELDS_LIMIT: Final = 128
PARSED_HEADS_LIMIT: Final = 1024  # parsed request heads that are kept: clients repeat theirs
PARSED_HEAD_BYTES: Final = 1 << 10  # bytes of one kept head
JOIN_LIMIT: Final = (
    16 << 10
)  # bytes of a body that is copied behind its head; a larger one is written by itself
# seconds that an answer is given up before a second ends: sums of floating point numbers are that exact
_TICK_MARGIN: Final = 1e-5
# fields that change the response or concern the connection: left to the general path
_GENERAL_PATH_FIELDS: Final = frozenset(
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


class _SimpleRequest:
    """Service, policy of its cache rule, cache key, fields that select variants, what the log has of the head.

    `prepared` is the answer to the last such request.
    """

    __slots__ = ("coding", "fields", "key", "policy", "prepared", "recorded", "service")

    def __init__(
        self,
        service: ActiveService,
        policy: LifetimePolicy,
        key: str,
        fields: Fields,
        coding: Coding | None,
        recorded: FastRequest,
    ) -> None:
        self.service = service
        self.policy = policy
        self.key = key
        self.fields = fields
        self.coding = coding
        self.recorded = recorded
        self.prepared: PreparedAnswer | None = None


class _HeadParser:
    """Parser callbacks. `fields` is None for a request that is not simple."""

    __slots__ = ("complete", "fields", "host", "url")

    def __init__(self) -> None:
        self.url = b""
        self.host: bytes | None = None
        self.fields: list[tuple[bytes, bytes]] | None = []
        self.complete = False

    def begin(self) -> None:
        self.url = b""
        self.host = None
        self.fields = []
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
        self._ids = self._telemetry.ids
        self._services = services
        self._catalogue = services.current  # that the requests of `_asked` were read by
        self._unknown = ServedConnection()
        self._store = store
        self._changes = store.changes
        self._name = name
        self._clock = clock
        self._head = _HeadParser()
        self._parser: Any = httptools.HttpRequestParser(self._head)
        self._asked: dict[bytes, _SimpleRequest] = {}
        self.hits = 0

    def answer(self, data: bytes, connection: ServedConnection | None = None) -> list[bytes] | None:
        """Return the response, in one or two pieces, if `data` is exactly one simple GET that memory can answer."""
        if self._catalogue is not self._services.current:
            self._catalogue = self._services.current
            self._asked.clear()
        asked = self._asked.get(data)
        if asked is None:
            asked = self._read(data)
            if asked is None:
                return None
        if connection is None:
            connection = self._unknown
        is_admitted = connection.admitted is asked.service and connection.catalogue is self._catalogue
        if not is_admitted and not self._admit(connection, asked.service):
            return None
        if self._changes.is_ahead:
            self._store.apply_invalidations()
        now = self._clock()
        prepared = asked.prepared
        if prepared is None or not prepared.since <= now < prepared.until:
            prepared = self._prepare(asked, now)
            if prepared is None:
                return None
        if connection.is_limited and not _take_share(connection, len(prepared.body)):
            return None
        self.hits += 1
        request_id = self._ids.next_id()
        self._telemetry.record_hit(now, request_id, connection.facts, asked.recorded, prepared.outcome)
        if len(prepared.body) <= JOIN_LIMIT:
            return [b"".join((prepared.head, request_id, HEAD_END, prepared.body))]
        return [b"".join((prepared.head, request_id, HEAD_END)), prepared.body]

    def _admit(self, connection: ServedConnection, service: ActiveService) -> bool:
        """Admit a connection to a service, once for each catalogue; the general path answers what is refused."""
        if not self._catalogue.may_ask(connection.server_name, service):
            return False
        try:
            service.admit_connection(connection)
        except NotAdmitted:
            return False
        connection.catalogue = self._catalogue
        return True

    def _read(self, data: bytes) -> _SimpleRequest | None:
        """Parse one complete simple request; None for anything else."""
        if not data.startswith(b"GET /") or data.find(HEAD_END) != len(data) - 4 or len(data) > HEAD_LIMIT:
            return None
        if b"  " in data[: data.find(b"\r\n")]:
            return None  # the general path refuses it
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

    def _prepare(self, asked: _SimpleRequest, now: float) -> PreparedAnswer | None:
        """Find what the request selects now, and its answer until the next second; None where memory has none."""
        asked.prepared = None
        source = self._store.find_in_memory(asked.key, asked.fields, asked.policy)
        if source is None or now >= source.fresh_until or "no-cache" in source.control:
            return None
        service = asked.service
        view: StoredResponse | None = None
        held: StoredResponse | None = None  # the entry of the memory that has the body
        if service.codings is None:
            view = held = self._store.keep_body(source)
        else:
            self._store.record_use(source)
            found = self._coded.find_in_memory(source, service.codings, asked.coding)
            if found is not None:
                view, held = found
        if view is None or held is None:
            return None
        self._store.record_use(view)
        prepared = view.prepared
        if prepared is None or prepared.is_expired or prepared.changes is not service.client_fields:
            prepared = view.prepared = PreparedAnswer(service.client_fields)
            held.add_dependent(prepared)
            if held.key != source.key:
                source.add_dependent(prepared)
        if not prepared.since <= now < prepared.until:
            self._renew(prepared, view, now, service.client_fields)
        # what another worker's change has removed meanwhile was in memory when it was asked for: this once
        if held.in_memory and (source.in_memory or held.key == source.key):
            asked.prepared = prepared
        return prepared

    def _renew(
        self, prepared: PreparedAnswer, view: StoredResponse, now: float, changes: FieldChanges
    ) -> None:
        """Make the head of the current second, up to the request's id."""
        assert view.body is not None
        age, ttl = int(view.age(now)), int(view.fresh_until - now)
        status = CacheStatus(hit=True, ttl=ttl).value(self._name)
        pairs = [*select_response(view, "GET", {}).headers, ("age", str(age)), ("cache-status", status)]
        lines = [f"{name}: {value}\r\n" for name, value in changes.change_fields(pairs)]
        head = b"".join((STATUS_LINE[view.status], "".join(lines).encode("latin-1"), REQUEST_ID_PREFIX))
        next_age = view.fresh_until - view.lifetime + age + 1
        until = min(next_age, view.fresh_until - ttl) - _TICK_MARGIN
        prepared.renew(head, view.body, HitOutcome(view.status, len(view.body), ttl), now, until)


def _take_share(connection: ServedConnection, size: int) -> bool:
    """Count a request of `size` bytes against the limits of the connection; False where the general path waits."""
    now = time.monotonic()
    pacer, bucket = connection.pacer, connection.bucket
    if pacer is not None and (pacer.delay(now) > 0 or size > max(SMALLEST_PART, pacer.rate // 4)):
        return False
    if bucket is not None and not bucket.take_token(now):
        return False
    if pacer is not None:
        pacer.record_sent(size, now)
    return True


def _decode_fields(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
