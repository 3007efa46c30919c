"""The built-in application: a caching reverse proxy in front of the origin (ASGI).

Decides for each request between the store, a fetch shared with others, and passing it on; the rules themselves are in
`edge.cache`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, BinaryIO
from urllib.parse import urljoin

from edge.cache.entry import Entry
from edge.cache.rules.cache_status import CacheStatus
from edge.cache.rules.conditions import FOR_THE_ORIGIN
from edge.cache.rules.reuse import Reuse, decide, insists, may_serve_on_error, wishes
from edge.cache.storage.spool import SpoolFailed
from edge.cache.storage.store import Store
from edge.http.fields import Pairs, joined
from edge.http.http1 import HAS_LEFT
from edge.http.request import Request, key_of_url
from edge.proxy.fast_path import HotPath
from edge.proxy.fetch import Fetch, Fetches, Head
from edge.proxy.pass_through import BodyTooLarge, ClientLeft, body_of, pass_on
from edge.proxy.responses import Send, say, select, send_arriving, send_stored
from edge.proxy.upstream import Answer, OriginFailed, Upstream

log = logging.getLogger("edge.proxy.caching_proxy")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

TARGET_LIMIT = 8192
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
REFUSED = frozenset({"CONNECT", "TRACE"})
WAITED_FOR = 8  # answers to others that turned out not to suit a request, before it asks for itself
RANGE_AHEAD = 1 << 20  # bytes that a range may lie ahead of what has arrived of the whole, to wait for that


class CachingProxy:
    """Answer from the store where the rules allow it, else from the origin."""

    def __init__(
        self,
        upstream: Upstream,
        store: Store,
        name: str,
        *,
        request_limit: int = 64 << 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = upstream
        self._store = store
        self._name = name
        self._request_limit = request_limit
        self._clock = clock
        self.fetches = Fetches(store, upstream, clock)
        self.hot = HotPath(store, name, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            request = Request.of(scope)
        except ValueError:  # OPTIONS * is for a server, and this one has nothing to say
            return await say(send, 400, "the target is no path")
        if HAS_LEFT in scope.get("extensions", {}):
            send = _while_it_stays(send, scope["extensions"][HAS_LEFT])
        if len(request.target) > TARGET_LIMIT:
            return await say(send, 414, "the target is too long")
        if request.method in REFUSED:
            return await say(send, 501, f"{request.method} is not for this server")
        if self._upstream.is_loop(request.headers):
            return await say(send, 508, "this request has been here before")
        try:
            await self._answer(request, receive, send)
        except OriginFailed as error:
            await say(send, error.status, str(error), self._status(CacheStatus(detail="origin-failed")))
        except ClientLeft:
            log.debug("%s: the client has left", request.key)
        except BodyTooLarge:
            await say(send, 413, f"a request's body may have {self._request_limit} bytes")
        except SpoolFailed as error:
            log.info(
                "%s: cut short: %s", request.key, error
            )  # returning early, the server cuts the connection

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        if request.method not in ("GET", "HEAD"):
            return await self._pass(request, "method", send, receive)
        if any(name in request.fields for name in FOR_THE_ORIGIN) or _has_body(request):
            return await self._pass(request, "bypass", send, receive)
        entry = self._store.find(request.key, request.fields)
        if entry is not None:
            reason = await self._from_store(entry, request, send)
            if reason is None:
                return
            if reason == "miss":
                entry = None  # its body was evicted a moment ago
        else:
            reason = "vary-miss" if self._store.known_variants(request.key) else "uri-miss"
        if "only-if-cached" in wishes(request.fields):
            return await say(
                send, 504, "not in the cache", self._status(CacheStatus(detail="only-if-cached"))
            )
        if request.method == "HEAD" or (entry is None and self._is_far_range(request)):
            return await self._pass(request, "partial" if entry else reason, send, receive)
        await self._from_origin(request, entry, reason, send)

    # --- from the store

    async def _from_store(self, entry: Entry, request: Request, send: Send) -> str | None:
        """Answer if the rules allow it; else say why not."""
        decision = decide(entry, request.fields, self._clock())
        if decision.reuse is Reuse.REVALIDATE:
            # another worker may have renewed it since it came into this one's memory
            entry = next((one for one in self._store.load(request.key) if one.id == entry.id), entry)
            decision = decide(entry, request.fields, self._clock())
        if decision.reuse is Reuse.REVALIDATE:
            return decision.reason
        if decision.reuse is Reuse.SERVE_AND_REVALIDATE and not self.fetches.is_running(request.key):
            self._fetch(request, entry, leader=False)
        status = CacheStatus(hit=True, ttl=int(entry.fresh_until - self._clock()))
        return None if await self._send_entry(entry, request, status, send) else "miss"

    async def _send_entry(self, entry: Entry, request: Request, status: CacheStatus, send: Send) -> bool:
        """Send a stored response; False, with nothing sent, when its body has just been evicted."""
        file: BinaryIO | None = None
        if entry.body is None:
            try:
                file = self._store.open(entry)
            except OSError:
                await self._store.remove(entry.key)
                return False
        try:
            self._store.use(entry)
            age = ("age", str(int(entry.age(self._clock()))))
            selected = select(entry, request.method, request.fields)
            await send_stored(entry, file, selected, [age, *self._status(status)], send)
        finally:
            if file is not None:
                file.close()
        return True

    # --- from the origin, for all who ask for the same

    async def _from_origin(self, request: Request, stored: Entry | None, reason: str, send: Send) -> None:
        collapsed = False
        # an answer to credentials is for no other request; and no other's answer is fresh enough for one that insists
        alone = "authorization" in request.fields or insists(request.fields)
        seen: set[Fetch] = set()
        while True:
            others = [one for one in self.fetches.joinable(request.key) if one not in seen]
            if alone or not others or len(seen) == WAITED_FOR:
                fetch = self._fetch(request, stored, leader=True)
                break
            fetch = others[0]
            seen.add(fetch)
            await asyncio.wait([fetch.head])
            if fetch.suits(request.fields, self._clock()):
                collapsed = True
                break
        head = await asyncio.shield(fetch.head)
        status = CacheStatus(forward=reason, collapsed=collapsed)
        try:
            await self._send_fetched(fetch, head, stored, request, status, send)
        finally:
            if not collapsed and fetch.leader is not None:
                fetch.leader.close()

    async def _send_fetched(
        self,
        fetch: Fetch,
        head: Head,
        stored: Entry | None,
        request: Request,
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
        await self._send_arriving(fetch, head.entry, head.storing, request, status, send)

    async def _send_arriving(
        self, fetch: Fetch, entry: Entry, storing: bool, request: Request, status: CacheStatus, send: Send
    ) -> None:
        assert fetch.spool is not None
        selected = select(entry, request.method, request.fields)
        if selected.multipart is not None:
            selected = select(entry, request.method, _without_range(request.fields))
        if storing:
            status.stored = True
            status.ttl = int(entry.fresh_until - self._clock())
        reader = fetch.spool.reader(selected.parts[0].first if selected.parts else 0)
        try:
            if fetch.leader is not None and not status.collapsed:
                fetch.leader.close()  # this one stands in its place now
            age = [("age", str(int(entry.age(self._clock()))))] if "age" in entry.fields else []
            await send_arriving(reader, selected, [*age, *self._via(), *self._status(status, entry)], send)
        finally:
            reader.close()

    def _fetch(self, request: Request, stored: Entry | None, *, leader: bool) -> Fetch:
        return self.fetches.start(
            request.key, request.target, request.headers, request.fields, stored, leader=leader
        )

    def _is_far_range(self, request: Request) -> bool:
        """A range of what is not stored goes on as it is, unless the whole, once asked for, soon comes there."""
        value = request.fields.get("range")
        if value is None:
            return False
        first = value.removeprefix("bytes=").split("-")[0]
        if not first.isdigit() or len(first) > 15 or not self.fetches.may_share(request.key):
            return True
        spools = [fetch.spool for fetch in self.fetches.joinable(request.key) if fetch.spool is not None]
        return int(first) > max((spool.size for spool in spools), default=0) + RANGE_AHEAD

    # --- passed on

    async def _pass(self, request: Request, reason: str, send: Send, receive: Receive | None) -> None:
        body = body_of(request, receive, self._request_limit) if receive is not None else None

        async def on_head(answer: Answer) -> Pairs:
            # before the answer goes out: a request that its client then sends must not find what it has changed
            if request.method not in SAFE and 200 <= answer.status < 400:
                await self._invalidate(request, answer)
            elif request.method == "HEAD" and answer.status == 200:
                await self._compare_with_head(request, answer)
            status = CacheStatus(forward=reason, forward_status=answer.status)
            return [*self._via(), *self._status(status, answer)]

        await pass_on(self._upstream, request, body, on_head, send)

    async def _invalidate(self, request: Request, answer: Answer) -> None:
        """Invalidate what an unsafe method has changed (RFC 9111 section 4.4): its URL, and those of its host."""
        keys = {request.key}
        host = request.fields.get("host", "")
        base = f"http://{host}{request.target.decode('latin-1')}"
        for name, value in answer.headers:
            if name in ("location", "content-location"):
                with contextlib.suppress(ValueError):  # what is no URL was never stored
                    key = key_of_url(urljoin(base, value))
                    keys |= {key} if key.startswith(f"{host} ") else set()
        await self._store.invalidate(keys)

    async def _compare_with_head(self, request: Request, answer: Answer) -> None:
        """A HEAD may show that what is stored is no longer right (RFC 9111 section 4.3.5)."""
        stored = self._store.find(request.key, request.fields)
        if stored is None:
            return
        fields = joined(answer.headers)
        names = ("etag", "last-modified", "content-length")
        if any(name in fields and fields[name] != stored.fields.get(name, fields[name]) for name in names):
            await self._store.invalidate([request.key])

    def _via(self) -> Pairs:
        return [("via", f"1.1 {self._name}")]

    def _status(self, status: CacheStatus, answer: Entry | Answer | None = None) -> Pairs:
        """This cache's member, after those of caches nearer to the origin (RFC 9211 section 2)."""
        before = [("cache-status", v) for n, v in answer.headers if n == "cache-status"] if answer else []
        return [*before, ("cache-status", status.value(self._name))]


def _while_it_stays(send: Send, has_left: Callable[[], bool]) -> Send:
    """Raise `ClientLeft` where `send` would do nothing: the rest of an answer is not to be fetched for nobody."""

    async def checked(message: MutableMapping[str, Any]) -> None:
        if has_left():
            raise ClientLeft
        await send(message)

    return checked


def _has_body(request: Request) -> bool:
    return request.fields.get("content-length", "0") != "0" or "transfer-encoding" in request.fields


def _without_range(fields: Any) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name != "range"}
