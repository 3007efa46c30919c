"""Fetches: requests to the origin that may fill the store, shared by concurrent requests for the same URL.

A fetch continues after its last client has left once its head has come and it is being stored; else it is cancelled:
of an origin that is silent, it is not known whether there will be anything to store. A request that arrives meanwhile
waits for the head and follows the fetch if the store's own rules would serve it that response at that moment (RFC 9111
section 4); else it fetches itself. A fetch with Authorization can be followed only after its head shows that RFC 9111
section 3.5 allows it.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from edge.cache.rules.conditions import CACHE_CONDITIONS, revalidation_headers
from edge.cache.rules.keys import all_of_host, url_of
from edge.cache.rules.reuse import Reuse, decide_reuse, requires_validation
from edge.cache.rules.search_variance import SearchVariance
from edge.cache.rules.stored_response import StoredResponse, merge_headers
from edge.cache.rules.storing import is_worth_storing, storage_obstacle
from edge.cache.rules.tags import index_tags
from edge.cache.rules.validation import confirms_stored
from edge.cache.rules.variants import variant_of
from edge.cache.storage.body_files import BodyFile
from edge.cache.storage.leases import FetchLeases
from edge.cache.storage.spool import Spool, SpoolFailed
from edge.cache.storage.store import INLINE_BODY_LIMIT, ResponseStore
from edge.http.early_hints import hints_receiver
from edge.http.fields import Fields, combine_fields
from edge.http.origin_response import OriginFailed, OriginResponse
from edge.proxy.backoff import RevalidationBackoff
from edge.proxy.fetch import ERROR_STATUS, Fetch, FetchResult
from edge.proxy.service_request import ServiceRequest
from edge.services.active_service import ActiveService
from smkex.http.semantics.dates import format_http_date
from smkex.http.semantics.integers import parse_integer

log = logging.getLogger("edge.cache")

# seconds that requests do not wait for others at a URL whose response was for one of them alone
NOT_SHARED_SECONDS = 10.0
NOT_SHARED_LIMIT = 10_000
LEASED_BODY_LIMIT = 8 << 20  # bytes of a body that other workers wait for; they fetch a larger one themselves


class Fetches:
    """The running fetches of one worker."""

    def __init__(self, store: ResponseStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._leases = FetchLeases(store.folder / "fetching.lock")
        self._running: dict[str, list[Fetch]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._not_shared: OrderedDict[str, float] = OrderedDict()
        self._backoff = RevalidationBackoff()
        store.watch_invalidations(self.discard_running, self.discard_all_running)

    def joinable(self, key: str, service: ActiveService, *, for_peer: bool = False) -> list[Fetch]:
        """The fetches that a new request for `key` may wait for: by the same revision of its service.

        A request of another edge waits for no fetch that may be waiting for that edge.
        """
        if not self.may_share(key):
            return []
        running = self._running.get(key, [])
        return [
            fetch
            for fetch in running
            if fetch.can_be_joined and fetch.service is service and (fetch.direct or not for_peer)
        ]

    def may_revalidate(self, key: str) -> bool:
        """Whether a background fetch for `key` may start: none is running, and the origin has not just failed."""
        return key not in self._running and self._backoff.may_retry(key, self._clock())

    def may_share(self, key: str) -> bool:
        """False for a while after a response of `key` could not be shared."""
        return not self._not_shared or self._not_shared.get(key, 0.0) <= self._clock()

    def start(self, request: ServiceRequest, stored: StoredResponse | None, *, leader: bool) -> Fetch:
        """Start a fetch; with `leader` the caller uses `Fetch.leader` after the head and closes it."""
        head: asyncio.Future[FetchResult] = asyncio.get_running_loop().create_future()
        fetch = Fetch(
            request.service,
            request.rule.policy,
            request.key,
            request.own_key or request.key,
            request.target,
            request.headers,
            request.fields,
            stored,
            self._store.last_change,
            head,
            has_leader=leader,
            direct=request.for_peer or request.service.origins.is_direct(request.key),
        )
        fetch.service.begin_request()
        self._running.setdefault(fetch.key, []).append(fetch)
        context = copy_context()
        if not leader:
            context.run(hints_receiver.set, None)  # the request has its response
        task = asyncio.create_task(self._run(fetch), context=context)
        fetch.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: fetch.service.end_request())
        return fetch

    @contextmanager
    def use(self, fetch: Fetch) -> Iterator[None]:
        """Keep `fetch` running within the context; the last to leave cancels it unless it is being stored."""
        fetch.clients += 1
        try:
            yield
        finally:
            fetch.clients -= 1
            if fetch.is_unwanted and fetch.task is not None and not fetch.task.done():
                fetch.abandoned = not fetch.head.done()
                self._remove_running(fetch)
                fetch.task.cancel()

    def discard_running(self, url: str) -> None:
        """Prevent running fetches of a URL, or of all of a host, from being stored: they may bring an older state."""
        for key in [key for key in self._running if url in (url_of(key), all_of_host(key))]:
            for fetch in self._running.pop(key, []):
                fetch.discarded = True
                self._release_lease(fetch)  # no other worker waits for a response that is not stored

    def discard_all_running(self) -> None:
        for url in {url_of(key) for key in self._running}:
            self.discard_running(url)

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._leases.close()

    async def _run(self, fetch: Fetch) -> None:
        try:
            if not await self._acquire_lease(fetch):
                await self._ask(fetch)
        except OriginFailed as error:
            self._fail(fetch, error)
        except SpoolFailed as error:
            log.debug("%s: %s", fetch.key, error)
            self._fail(fetch, OriginFailed(502, "the response was abandoned"))
        except BaseException:
            self._fail(fetch, OriginFailed(502, "the edge cancelled the request"))
            raise
        finally:
            if fetch.head.done() and not fetch.abandoned:
                self._backoff.record(fetch.key, fetch.head.result().is_error, self._clock())
            self._remove_running(fetch)
            self._release_lease(fetch)
            if fetch.spool is not None:
                fetch.spool.release()

    def _fail(self, fetch: Fetch, error: OriginFailed) -> None:
        if not fetch.head.done():
            fetch.head.set_result(FetchResult(failure=error))
        elif fetch.spool is not None:
            fetch.spool.mark_failed()
            if isinstance(fetch.spool.file, BodyFile):
                fetch.spool.file.discard()

    async def _acquire_lease(self, fetch: Fetch) -> bool:
        """Acquire the fetch lease. Return True if another worker stored a usable response."""
        if fetch.authorized or requires_validation(fetch.asked) or not self.may_share(fetch.key):
            # another worker's response would not be usable, and a lease would serialize the workers
            return False
        fetch.leased = await self._leases.acquire(fetch.key, 0)
        waits = not fetch.leased
        if waits:
            fetch.leased = await self._leases.acquire(fetch.key)
        self._store.load(fetch.key, fetch.policy)
        found = self._store.find(fetch.key, fetch.asked, fetch.policy)
        if found is not None and decide_reuse(found, fetch.asked, self._clock()).reuse is Reuse.SERVE:
            fetch.head.set_result(FetchResult(found, confirmed=True, storing=True, elsewhere=True))
            return True
        if waits or fetch.discarded:
            # the other worker's response was not shared: do not serialize the remaining workers
            self._release_lease(fetch)
        return False

    def _release_lease(self, fetch: Fetch) -> None:
        if fetch.leased:
            fetch.leased = False
            self._leases.release(fetch.key)

    def _remove_running(self, fetch: Fetch) -> None:
        others = [one for one in self._running.get(fetch.key, []) if one is not fetch]
        if others:
            self._running[fetch.key] = others
        else:
            self._running.pop(fetch.key, None)

    async def _ask(self, fetch: Fetch) -> None:
        kept = [pair for pair in fetch.headers if pair[0] not in CACHE_CONDITIONS]
        stored = fetch.stored
        conditions = list(revalidation_headers(stored).items()) if stored is not None else []
        requested_at = self._clock()
        async with fetch.service.origins.request(
            "GET", fetch.target, kept + conditions, key=fetch.key, direct=fetch.direct
        ) as answer:
            received_at = self._clock()
            if stored is None or not conditions or answer.status != 304:
                await self._receive(fetch, answer, requested_at, received_at)
                return
            if confirms_stored(stored, answer.headers):
                await self._confirm(fetch, stored, answer, requested_at, received_at)
                return
        # the 304 does not match the stored response (RFC 9111 section 4.3.4): fetch without conditions
        await self._store.remove(fetch.key)
        fetch.stored = None
        await self._ask(fetch)

    async def _confirm(
        self,
        fetch: Fetch,
        stored: StoredResponse,
        answer: OriginResponse,
        requested_at: float,
        received_at: float,
    ) -> None:
        fresh = answer.headers
        if "date" not in combine_fields(fresh):
            fresh = [*fresh, ("date", format_http_date(received_at))]
        entry = StoredResponse(
            key=stored.key,
            variant=stored.variant,
            status=stored.status,
            headers=merge_headers(stored.headers, fresh),
            requested_at=requested_at,
            received_at=received_at,
            size=stored.size,
            policy=stored.policy,
            body=stored.body,
            file=stored.file,
            id=stored.id,
        )
        # a 304 to credentials, or under the request's no-store, applies to that client alone
        storing = (
            not fetch.discarded
            and not answer.framing_in_doubt
            and storage_obstacle("GET", fetch.asked, entry.status, entry.fields) is None
        )
        if storing:
            self._note_reuse(entry)
            storing = await self._store.refresh(entry, index_tags(entry.key, entry.fields), fetch.since)
        fetch.head.set_result(FetchResult(entry, confirmed=True, storing=storing))

    async def _receive(
        self, fetch: Fetch, answer: OriginResponse, requested_at: float, received_at: float
    ) -> None:
        entry = self._entry(fetch, answer, requested_at, received_at)
        unusable = fetch.discarded or answer.framing_in_doubt  # by any other request
        storing = not unusable and self._may_store(fetch, entry, fetch.asked)
        limit = self._store.object_limit if storing else 0
        spool = fetch.spool = Spool(self._store.body_file, small=INLINE_BODY_LIMIT, limit=limit)
        if fetch.has_leader:
            fetch.leader = spool.open_reader()
        if not storing:
            self._remove_running(fetch)
            if unusable or not self._may_store(fetch, entry, {}):  # else only this request forbids storing
                self._mark_not_shared(fetch.key)
                if fetch.stored is not None and entry.status not in ERROR_STATUS:
                    # the stored response is outdated, and the new one must not be stored
                    await self._store.remove(fetch.key)
        elif not self._note_reuse(entry):
            self._release_lease(fetch)
        if not storing or not 0 <= entry.size <= LEASED_BODY_LIMIT:
            self._release_lease(fetch)
        fetch.head.set_result(FetchResult(entry, storing=storing))
        async for part in answer.parts:
            await spool.write(part)
        if entry.size not in (-1, spool.size):
            raise OriginFailed(502, "the origin closed the connection before the end of the body")
        spool.end()
        if storing:
            await self._keep(fetch, entry, spool)

    async def _keep(self, fetch: Fetch, entry: StoredResponse, spool: Spool) -> None:
        file = spool.file if isinstance(spool.file, BodyFile) else None
        kept = False
        if spool.is_kept and not fetch.discarded:
            entry.size = spool.size
            entry.body = spool.content()
            entry.file = file.name if file is not None else None
            tags = index_tags(entry.key, entry.fields)
            kept = await self._store.insert(entry, file, tags, fetch.since, asked_key=fetch.key)
            if kept and fetch.discarded:
                await self._store.remove(entry.key)  # invalidated during the write
            if kept and fetch.key != entry.key:
                await self._store.remove(fetch.key)  # an older one, which varied otherwise by the query
        if not kept and file is not None:
            file.discard()

    def _entry(
        self, fetch: Fetch, answer: OriginResponse, requested_at: float, received_at: float
    ) -> StoredResponse:
        headers = answer.headers
        fields = combine_fields(headers)
        if "date" not in fields:
            headers = [*headers, ("date", format_http_date(received_at))]
        length = parse_integer(fields.get("content-length"))
        search = SearchVariance.parse(fields.get("no-vary-search"))
        return StoredResponse(
            key=fetch.own_key if search is None else search.canonical_key(fetch.own_key),
            variant=variant_of(fields.get("vary", ""), fetch.asked),
            status=answer.status,
            headers=headers,
            requested_at=requested_at,
            received_at=received_at,
            size=-1 if length is None else length,
            policy=fetch.policy,
        )

    def _may_store(self, fetch: Fetch, entry: StoredResponse, asked: Fields) -> bool:
        if storage_obstacle("GET", asked, entry.status, entry.fields) is not None:
            return False
        stored = fetch.stored
        if stored is not None and entry.status in ERROR_STATUS and stored.status not in ERROR_STATUS:
            return False  # the stored response may replace the error
        return entry.size <= self._store.object_limit and is_worth_storing(
            entry.fields, entry.control, entry.lifetime
        )

    def _note_reuse(self, entry: StoredResponse) -> bool:
        """Return whether other requests may use `entry` unvalidated; if not, mark its key as not shared."""
        reusable = decide_reuse(entry, {}, self._clock()).reuse is Reuse.SERVE
        if not reusable:
            self._mark_not_shared(entry.key)
        return reusable

    def _mark_not_shared(self, key: str) -> None:
        self._not_shared[key] = self._clock() + NOT_SHARED_SECONDS
        self._not_shared.move_to_end(key)
        if len(self._not_shared) > NOT_SHARED_LIMIT:
            self._not_shared.popitem(last=False)
