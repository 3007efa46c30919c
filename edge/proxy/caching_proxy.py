"""The built-in application: a caching reverse proxy in front of the origin (ASGI).

Chooses for each request between the store, a shared fetch and forwarding; the rules are in `edge.cache`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, BinaryIO

from edge.cache.rules.cache_status import CacheStatus
from edge.cache.rules.conditions import ORIGIN_CONDITIONS
from edge.cache.rules.groups import invalidated_tags
from edge.cache.rules.reuse import (
    Reuse,
    decide_reuse,
    may_serve_on_error,
    request_directives,
    requires_validation,
)
from edge.cache.rules.safe_methods import SAFE_METHODS
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.storage.spool import SpoolFailed
from edge.cache.storage.store import ResponseStore
from edge.http.early_hints import hints_receiver
from edge.http.fields import Pairs, combine_fields
from edge.http.origin_response import OriginFailed, OriginResponse
from edge.http.request import ClientRequest
from edge.origins.exchange import is_request_loop
from edge.origins.shield.invalidations import Invalidation
from edge.origins.shield_exchange import SHIELD_REFUSED_FIELD
from edge.proxy.coded_responses import CodedResponses
from edge.proxy.fast_path import CacheFastPath
from edge.proxy.fetch import Fetch, FetchResult
from edge.proxy.fetches import Fetches
from edge.proxy.leaving import UntilClientLeaves
from edge.proxy.pass_through import BodyTooLarge, ClientLeft, forward_request, request_body
from edge.proxy.responses import (
    Send,
    end_response,
    select_response,
    send_arriving,
    send_stored,
    send_text,
    start_response,
)
from edge.proxy.service_request import ServiceRequest, verify_url
from edge.proxy.service_sending import service_sender
from edge.services.active_service import ActiveService
from edge.services.admission.gate import NotAdmitted, check_rate
from edge.services.catalogue import Misdirected
from edge.services.directory import ServiceDirectory
from edge.services.served_connection import ServedConnection
from edge.telemetry.telemetry import Telemetry
from smkex.http.semantics.integers import parse_integer
from smkex.http.semantics.ranges import first_position
from smkex.http.server.http1 import CLIENT_GONE, CONNECTION, EARLY_HINTS

log = logging.getLogger("edge.proxy.caching_proxy")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

TARGET_LIMIT = 8192
ALLOWED = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"
UNSUPPORTED_METHODS = frozenset({"CONNECT", "TRACE"})
UNSUITABLE_LIMIT = 8  # responses of other fetches that did not suit a request, before it fetches itself
RANGE_AHEAD = 1 << 20  # bytes that a range may start beyond what has arrived, to wait for the fetch


class CachingProxy:
    """Answer from the store if the rules allow it, else from the origin."""

    def __init__(
        self,
        services: ServiceDirectory,
        store: ResponseStore,
        name: str,
        *,
        request_limit: int = 64 << 20,
        clock: Callable[[], float] = time.time,
        telemetry: Telemetry | None = None,
        origin_facts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._origin_facts = origin_facts
        self._services = services
        self._store = store
        self._name = name
        self._request_limit = request_limit
        self._telemetry = telemetry or Telemetry()
        self._clock = clock
        self.fetches = Fetches(store, clock)
        self.coded = CodedResponses(store)
        self.fast_path = CacheFastPath(services, store, name, clock, self._telemetry, self.coded)

    @property
    def services(self) -> ServiceDirectory:
        """The services in force."""
        return self._services

    def facts(self) -> dict[str, Any]:
        """Return what health publishes: the services in force, and their origins."""
        return {"services": self._services.facts(), "origins": self._origin_facts()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] in UNSUPPORTED_METHODS:
            return await send_text(send, 501, f"{scope['method']} is not supported")
        if scope["method"] == "OPTIONS" and scope["raw_path"] == b"*":
            return await _send_options(send)
        try:
            request = ClientRequest.of(scope)
        except ValueError:
            return await send_text(send, 400, "invalid request target")
        if CLIENT_GONE in scope.get("extensions", {}):
            send = _stop_when_client_leaves(send, scope["extensions"][CLIENT_GONE])
        hints_receiver.set(scope.get("extensions", {}).get(EARLY_HINTS))
        if len(request.target) > TARGET_LIMIT:
            return await send_text(send, 414, "the target is too long")
        if is_request_loop(request.headers, self._name):
            return await send_text(send, 508, "request loop detected")
        connection = scope.get("extensions", {}).get(CONNECTION) or ServedConnection(client=request.client)
        try:
            service = self._services.current.select_http(connection.server_name, request.host)
        except Misdirected as error:
            return await send_text(send, 421, str(error))
        self._telemetry.assign_service(service.name, service.revision)
        service.begin_request()
        try:
            async with UntilClientLeaves(scope):
                await self._admit(service, connection, request, receive, send)
        finally:
            service.end_request()

    async def _admit(
        self,
        service: ActiveService,
        connection: ServedConnection,
        request: ClientRequest,
        receive: Receive,
        send: Send,
    ) -> None:
        """Serve a request that the service admits."""
        try:
            service.admit_connection(connection)
            check_rate(connection.bucket, time.monotonic())
            redirect = service.redirects.find_redirect(request.target.decode("ascii"))
            if redirect is None:
                request = verify_url(service, request, self._clock())
        except NotAdmitted as error:
            wait = [("retry-after", str(error.retry_after))] if error.retry_after else []
            return await send_text(service_sender(service, None, send), error.status, str(error), wait)
        send = service_sender(service, connection.pacer, send)
        if redirect is not None:
            location = [("location", redirect.location)]
            return await send_text(send, redirect.status, f"see {redirect.location}", location)
        await self.serve_request(ServiceRequest.of(request, service), receive, send)

    async def serve_request(self, request: ServiceRequest, receive: Receive, send: Send) -> None:
        """Answer a request that its service admits."""
        try:
            await self._answer(request, receive, send)
        except OriginFailed as error:
            more = self._status(CacheStatus(detail="origin-failed"))
            if request.for_peer:
                more.append((SHIELD_REFUSED_FIELD, "?1"))
            await send_text(send, error.status, str(error), more)
        except ClientLeft:
            log.debug("client left: %s", request.key)
        except BodyTooLarge:
            await send_text(send, 413, f"the request body exceeds {self._request_limit} bytes")
        except SpoolFailed as error:
            # the server closes the connection when the application returns early
            log.info("response cut short: %s: %s", request.key, error)

    async def _answer(self, request: ServiceRequest, receive: Receive, send: Send) -> None:
        if request.method == "OPTIONS" and "max-forwards" in request.fields:
            hops = parse_integer(request.fields["max-forwards"])
            if hops == 0:
                return await _send_options(send)
            request = _decrement_max_forwards(request, hops)
        if request.method not in ("GET", "HEAD"):
            return await self._pass(request, "method", send, receive)
        unconditional = all(name not in request.fields for name in ORIGIN_CONDITIONS)
        if request.rule.bypass or not unconditional or _has_body(request):
            return await self._pass(request, "bypass", send, receive)
        entry = self._find_stored(request)
        if entry is not None:
            if entry.key != request.key:
                request = request.with_key(entry.key)
            reason = await self._from_store(entry, request, send)
            if reason is None:
                return
            if reason == "miss":
                entry = None  # its body has just been evicted
        else:
            reason = "vary-miss" if self._store.has_variants(request.key, request.rule.policy) else "uri-miss"
        if "only-if-cached" in request_directives(request.fields):
            return await send_text(
                send, 504, "no stored response", self._status(CacheStatus(detail="only-if-cached"))
            )
        if request.method == "HEAD" or (entry is None and self._is_far_range(request)):
            return await self._pass(request, "partial" if entry else reason, send, receive)
        await self._from_origin(request, entry, reason, send)

    # --- from the store

    def _find_stored(self, request: ServiceRequest) -> StoredResponse | None:
        """Find the response of the URL; where it is missing or stale, a newer one of an equivalent URL."""
        entry = self._store.find(request.key, request.fields, request.rule.policy)
        if entry is not None and self._clock() < entry.fresh_until:
            return entry
        other = self._store.find_equivalent(request.key, request.fields, request.rule.policy)
        if entry is None or (other is not None and other.received_at > entry.received_at):
            return other
        return entry

    async def _from_store(self, entry: StoredResponse, request: ServiceRequest, send: Send) -> str | None:
        """Answer if the rules allow it; else return the reason for the forward."""
        decision = decide_reuse(entry, request.fields, self._clock())
        if decision.reuse is Reuse.REVALIDATE:
            # another worker may have renewed it since it was loaded into this one's memory
            entry = next(
                (one for one in self._store.load(request.key, request.rule.policy) if one.id == entry.id),
                entry,
            )
            decision = decide_reuse(entry, request.fields, self._clock())
        if decision.reuse is Reuse.REVALIDATE:
            return decision.reason
        if decision.reuse is Reuse.SERVE_AND_REVALIDATE and self.fetches.may_revalidate(request.key):
            self._fetch(request, entry, leader=False)
        status = CacheStatus(hit=True, ttl=int(entry.fresh_until - self._clock()))
        return None if await self._send_entry(entry, request, status, send) else "miss"

    async def _send_entry(
        self, entry: StoredResponse, request: ServiceRequest, status: CacheStatus, send: Send
    ) -> bool:
        """Send a stored response; return False, with nothing sent, if its body has just been evicted."""
        view = await self.coded.select_view(entry, request.codings, request.coding)
        if await self._send_view(view, request, status, send):
            self._store.record_use(entry)
            return True
        if view.key == entry.key:
            return False
        view = await self.coded.select_view(entry, request.codings, None)
        return await self._send_view(view, request, status, send)

    async def _send_view(
        self, entry: StoredResponse, request: ServiceRequest, status: CacheStatus, send: Send
    ) -> bool:
        file: BinaryIO | None = None
        if entry.body is None:
            try:
                file = self._store.open(entry)
            except OSError:
                await self._store.remove(entry.key)
                return False
        try:
            self._store.record_use(entry)
            age = ("age", str(int(entry.age(self._clock()))))
            selected = select_response(entry, request.method, request.fields, for_peer=request.for_peer)
            await send_stored(entry, file, selected, [age, *self._status(status)], send)
        finally:
            if file is not None:
                file.close()
        return True

    # --- from the origin, shared by concurrent requests

    async def _from_origin(
        self, request: ServiceRequest, stored: StoredResponse | None, reason: str, send: Send
    ) -> None:
        collapsed = False
        # a response to credentials is for this request alone, and one that requires validation may use no other
        alone = "authorization" in request.fields or requires_validation(request.fields)
        seen: set[Fetch] = set()
        while True:
            joinable = self.fetches.joinable(request.key, request.service, for_peer=request.for_peer)
            others = [one for one in joinable if one not in seen]
            if alone or not others or len(seen) == UNSUITABLE_LIMIT:
                fetch = self._fetch(request, stored, leader=True)
                break
            fetch = others[0]
            seen.add(fetch)
            with self.fetches.use(fetch):
                await asyncio.wait([fetch.head])
            if fetch.can_answer(request.fields, self._clock()):
                collapsed = True
                break
        status = CacheStatus(forward=reason, collapsed=collapsed)
        try:
            with self.fetches.use(fetch):
                head = await asyncio.shield(fetch.head)
                await self._send_fetched(fetch, head, stored, request, status, send)
        finally:
            if not collapsed and fetch.leader is not None:
                fetch.leader.close()

    async def _send_fetched(
        self,
        fetch: Fetch,
        head: FetchResult,
        stored: StoredResponse | None,
        request: ServiceRequest,
        status: CacheStatus,
        send: Send,
    ) -> None:
        if head.elsewhere:
            status.collapsed = True
        elif head.entry is not None:
            status.forward_status = 304 if head.confirmed else head.entry.status
        if head.is_error and stored is not None and may_serve_on_error(stored, request.fields, self._clock()):
            status.detail = "stale-if-error"
            if await self._send_entry(stored, request, status, send):
                return
        if head.failure is not None:
            raise head.failure
        assert head.entry is not None
        if head.confirmed:
            status.ttl = int(head.entry.fresh_until - self._clock())
            if await self._send_entry(head.entry, request, status, send):
                return
            return await self._pass(request, "miss", send, None)
        if fetch.spool is not None and fetch.spool.is_closed:  # it ended before this request could read
            return await self._pass(request, "miss", send, None)
        await self._send_arriving(fetch, head.entry, head.storing, request, status, send)

    async def _send_arriving(
        self,
        fetch: Fetch,
        entry: StoredResponse,
        storing: bool,
        request: ServiceRequest,
        status: CacheStatus,
        send: Send,
    ) -> None:
        assert fetch.spool is not None
        entry = self.coded.arriving_view(entry, request.codings if storing else None)
        selected = select_response(entry, request.method, request.fields, for_peer=request.for_peer)
        if selected.multipart is not None:
            selected = select_response(
                entry, request.method, _without_range(request.fields), for_peer=request.for_peer
            )
        collapsed = status.collapsed  # a follower's response was not made for its request: it has an Age
        if storing:
            status.stored = True
            status.ttl = int(entry.fresh_until - self._clock())
        reader = fetch.spool.open_reader(selected.parts[0].first if selected.parts else 0)
        try:
            if fetch.leader is not None and not status.collapsed:
                fetch.leader.close()  # `reader` replaces it
            age = [("age", str(int(entry.age(self._clock()))))] if collapsed or "age" in entry.fields else []
            await send_arriving(reader, selected, [*age, *self._via(), *self._status(status, entry)], send)
        finally:
            reader.close()

    def _fetch(self, request: ServiceRequest, stored: StoredResponse | None, *, leader: bool) -> Fetch:
        return self.fetches.start(request, stored, leader=leader)

    def _is_far_range(self, request: ServiceRequest) -> bool:
        """Whether a range of an unstored response is forwarded: it starts too far for a fetch of the whole."""
        value = request.fields.get("range")
        if value is None:
            return False
        first = first_position(value)
        if first is None or not self.fetches.may_share(request.key):
            return True
        spools = [
            fetch.spool
            for fetch in self.fetches.joinable(request.key, request.service)
            if fetch.spool is not None
        ]
        return first > max((spool.size for spool in spools), default=0) + RANGE_AHEAD

    # --- forwarded

    async def _pass(self, request: ServiceRequest, reason: str, send: Send, receive: Receive | None) -> None:
        body = request_body(request, receive, self._request_limit) if receive is not None else None

        async def on_head(answer: OriginResponse) -> Pairs:
            # before the response is sent: the next request of this client must not get the old state
            if request.method not in SAFE_METHODS:
                await self._invalidate(request, answer)
            elif request.method == "HEAD" and answer.status == 200:
                await self._compare_with_head(request, answer)
            status = CacheStatus(forward=reason, forward_status=answer.status)
            return [*self._via(), *self._status(status, answer)]

        await forward_request(request.service.origins, request, body, on_head, send)

    async def _invalidate(self, request: ServiceRequest, answer: OriginResponse) -> None:
        """Invalidate what an unsafe request may have changed, before its client is answered.

        After a success the URL, Location and Content-Location (RFC 9111 section 4.4); and the groups that the origin
        names, whatever the status (RFC 9875 section 3).
        """
        keys = set[str]()
        if 200 <= answer.status < 400:
            keys.add(request.url_key)
            for name, value in answer.headers:
                if name in ("location", "content-location"):
                    with contextlib.suppress(ValueError):  # an invalid URL was never stored
                        key = request.reference_key(value)
                        keys |= {key} if key is not None else set()
        groups = invalidated_tags(request.url_key, combine_fields(answer.headers))
        if keys or groups:
            host_key = request.url_key if groups else ""
            await self._invalidate_everywhere(request, Invalidation(tuple(keys), tuple(groups), host_key))

    async def _compare_with_head(self, request: ServiceRequest, answer: OriginResponse) -> None:
        """Invalidate what a HEAD shows to be outdated (RFC 9111 section 4.3.5)."""
        stored = self._store.find(request.key, request.fields, request.rule.policy)
        if stored is None:
            return
        fields = combine_fields(answer.headers)
        names = ("etag", "last-modified", "content-length")
        if any(name in fields and fields[name] != stored.fields.get(name, fields[name]) for name in names):
            await self._invalidate_everywhere(request, Invalidation((request.url_key,)))

    async def _invalidate_everywhere(self, request: ServiceRequest, invalidation: Invalidation) -> None:
        """Invalidate at the shield first: what is fetched from there afterwards is stored here."""
        if not request.for_peer:
            await request.service.origins.invalidate(invalidation)
        await self.invalidate(invalidation)

    async def invalidate(self, invalidation: Invalidation) -> None:
        """Invalidate in all workers of this edge."""
        await self._store.invalidate(invalidation.urls, invalidation.groups, invalidation.host_key)

    def _via(self) -> Pairs:
        return [("via", f"1.1 {self._name}")]

    def _status(self, status: CacheStatus, answer: StoredResponse | OriginResponse | None = None) -> Pairs:
        """This cache's member, after those of caches nearer to the origin (RFC 9211 section 2)."""
        before = [("cache-status", v) for n, v in answer.headers if n == "cache-status"] if answer else []
        return [*before, ("cache-status", status.value(self._name))]


def _stop_when_client_leaves(send: Send, is_gone: Callable[[], bool]) -> Send:
    """Raise `ClientLeft` once the client is gone: the rest of the response is not fetched."""

    async def checked(message: MutableMapping[str, Any]) -> None:
        if is_gone():
            raise ClientLeft
        await send(message)

    return checked


async def _send_options(send: Send) -> None:
    """Answer OPTIONS for the edge itself: `*`, or a request that must go no further (RFC 9110 section 7.6.2)."""
    await start_response(send, 204, [("allow", ALLOWED)])
    await end_response(send)


def _decrement_max_forwards(request: ServiceRequest, hops: int | None) -> ServiceRequest:
    if hops is None:
        return request  # an invalid value is not for this server to correct
    headers = [pair for pair in request.headers if pair[0] != "max-forwards"]
    return request.with_headers([*headers, ("max-forwards", str(hops - 1))])


def _has_body(request: ServiceRequest) -> bool:
    return request.fields.get("content-length", "0") != "0" or "transfer-encoding" in request.fields


def _without_range(fields: Any) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name != "range"}
