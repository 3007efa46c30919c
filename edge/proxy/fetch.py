"""Requests to the origin that may fill the store, each made once for everybody who waits for the same.

A fetch goes on when its client leaves, as long as it is being stored. A request that comes while it runs waits for its
head, and follows it exactly where the store's own rules would serve it that response now (RFC 9111 section 4); else it
makes a request of its own. A fetch with Authorization can be followed only once its head shows that RFC 9111 section
3.5 allows it.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate

from edge.cache.entry import Entry, merged
from edge.cache.rules.conditions import EVALUATED, validators
from edge.cache.rules.reuse import Reuse, decide, insists
from edge.cache.rules.storing import is_worth_storing, why_not
from edge.cache.rules.tags import tags_of
from edge.cache.rules.variants import selects, variant_of
from edge.cache.storage.body_files import BodyFile
from edge.cache.storage.leases import Leases
from edge.cache.storage.spool import Spool, SpoolFailed, SpoolReader
from edge.cache.storage.store import SMALL, Store
from edge.http.fields import Fields, Pairs, joined, members
from edge.proxy.upstream import Answer, OriginFailed, Upstream

log = logging.getLogger("edge.cache")

ERRORS = frozenset({500, 502, 503, 504})  # for which stale responses may stand in (RFC 5861 section 4)
NOT_SHARED_FOR = (
    10.0  # seconds that requests do not wait for others at a URL whose response was for one of them alone
)
NOT_SHARED_LIMIT = 10_000
WAITED_FOR = 8 << 20  # bytes of a body that other workers wait for; of a larger one each asks for itself


@dataclass(slots=True)
class Head:
    """What a fetch brought: an answer, a confirmation of what is stored, or a failure.

    `storing`: the response is in the store, or will be. `elsewhere`: another worker asked, and what it has stored
    meanwhile counts as confirmed.
    """

    entry: Entry | None = None
    confirmed: bool = False
    failure: OriginFailed | None = None
    storing: bool = False
    elsewhere: bool = False

    @property
    def is_error(self) -> bool:
        return self.failure is not None or (self.entry is not None and self.entry.status in ERRORS)


@dataclass(slots=True, eq=False)
class Fetch:
    """One request to the origin. `doomed` ones are not stored: something has invalidated what they bring."""

    key: str
    target: bytes
    headers: Pairs
    asked: Fields
    stored: Entry | None
    since: int  # the last change to the store before it: a later invalidation keeps out what it brings
    head: asyncio.Future[Head]
    spool: Spool | None = None
    leader: SpoolReader | None = None
    has_leader: bool = True
    doomed: bool = False
    leased: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def authorized(self) -> bool:
        return "authorization" in self.asked

    @property
    def can_be_joined(self) -> bool:
        """Whether another request may wait for its head: not where that belongs to one client unless it says more."""
        return not self.authorized or self.head.done()

    def suits(self, asked: Fields, now: float) -> bool:
        """Whether another request may be answered with this fetch's answer. Its head must be there.

        Only as the store would answer it from the same response at this moment (RFC 9111 section 4). A failure answers
        all who wait, unless it came to a client's own credentials.
        """
        head = self.head.result()
        if head.failure is not None:
            return not self.authorized
        if head.entry is None or not head.storing or self.doomed:
            return False
        return selects(head.entry.variant, asked) and decide(head.entry, asked, now).reuse is Reuse.SERVE


class Fetches:
    """All fetches in progress of one worker."""

    def __init__(self, store: Store, upstream: Upstream, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._upstream = upstream
        self._clock = clock
        self._leases = Leases(store.folder / "fetching.lock")
        self._running: dict[str, list[Fetch]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._not_shared: OrderedDict[str, float] = OrderedDict()
        store.watch_invalidations(self.doom, self.doom_all)

    def joinable(self, key: str) -> list[Fetch]:
        """Those that a new request for `key` may wait for."""
        if not self.may_share(key):
            return []
        return [fetch for fetch in self._running.get(key, []) if fetch.can_be_joined]

    def is_running(self, key: str) -> bool:
        """Whether the origin is being asked for what will be stored as `key`."""
        return key in self._running

    def may_share(self, key: str) -> bool:
        """False while it is known that a response to `key` could not be given to others."""
        return not self._not_shared or self._not_shared.get(key, 0.0) <= self._clock()

    def start(
        self, key: str, target: bytes, headers: Pairs, asked: Fields, stored: Entry | None, *, leader: bool
    ) -> Fetch:
        """Begin; with `leader` the caller takes `Fetch.leader` once the head is there, and closes it."""
        head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        fetch = Fetch(key, target, headers, asked, stored, self._store.heard, head, has_leader=leader)
        self._running.setdefault(key, []).append(fetch)
        task = asyncio.create_task(self._run(fetch))
        fetch.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return fetch

    def doom(self, key: str) -> None:
        """What is on its way for `key` may be older than what has just changed: it is not to be stored."""
        for fetch in self._running.pop(key, []):
            fetch.doomed = True
            self._let_go(fetch)  # what it brings is stored for no other worker

    def doom_all(self) -> None:
        for key in list(self._running):
            self.doom(key)

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
            if not await self._asked_elsewhere(fetch):
                await self._ask(fetch)
        except OriginFailed as error:
            self._fail(fetch, error)
        except SpoolFailed as error:
            log.debug("%s: %s", fetch.key, error)
            self._fail(fetch, OriginFailed(502, "the response was given up"))
        except BaseException:
            self._fail(fetch, OriginFailed(502, "the edge ended the request"))
            raise
        finally:
            self._leave(fetch)
            self._let_go(fetch)
            if fetch.spool is not None:
                fetch.spool.release()

    def _fail(self, fetch: Fetch, error: OriginFailed) -> None:
        if not fetch.head.done():
            fetch.head.set_result(Head(failure=error))
        elif fetch.spool is not None:
            fetch.spool.fail()
            if isinstance(fetch.spool.file, BodyFile):
                fetch.spool.file.discard()

    async def _asked_elsewhere(self, fetch: Fetch) -> bool:
        """Acquire the fetch lease; return whether another worker has stored a response that answers this too."""
        if fetch.authorized or insists(fetch.asked) or not self.may_share(fetch.key):
            # what another brings would not answer it, and one after the other would keep the others out
            return False
        fetch.leased = await self._leases.take(fetch.key, 0)
        waits = not fetch.leased
        if waits:
            fetch.leased = await self._leases.take(fetch.key)
        self._store.load(fetch.key)
        found = self._store.find(fetch.key, fetch.asked)
        if found is not None and decide(found, fetch.asked, self._clock()).reuse is Reuse.SERVE:
            fetch.head.set_result(Head(found, confirmed=True, storing=True, elsewhere=True))
            return True
        if waits or fetch.doomed:
            # what the other worker was given is for no other request: do not let the rest wait in turn for the same
            self._let_go(fetch)
        return False

    def _let_go(self, fetch: Fetch) -> None:
        if fetch.leased:
            fetch.leased = False
            self._leases.let_go(fetch.key)

    def _leave(self, fetch: Fetch) -> None:
        others = [one for one in self._running.get(fetch.key, []) if one is not fetch]
        if others:
            self._running[fetch.key] = others
        else:
            self._running.pop(fetch.key, None)

    async def _ask(self, fetch: Fetch) -> None:
        kept = [pair for pair in fetch.headers if pair[0] not in EVALUATED]
        stored = fetch.stored
        conditions = list(validators(stored).items()) if stored is not None else []
        requested_at = self._clock()
        async with self._upstream.request("GET", fetch.target, kept + conditions) as answer:
            received_at = self._clock()
            if stored is None or not conditions or answer.status != 304:
                await self._receive(fetch, answer, requested_at, received_at)
                return
            if _confirms(stored, answer.headers):
                await self._confirm(fetch, stored, answer.headers, requested_at, received_at)
                return
        # a 304 for something else than we have (RFC 9111 section 4.3.4), or not for everybody: ask for the whole
        await self._store.remove(fetch.key)
        fetch.stored = None
        await self._ask(fetch)

    async def _confirm(
        self, fetch: Fetch, stored: Entry, fresh: Pairs, requested_at: float, received_at: float
    ) -> None:
        if "date" not in joined(fresh):
            fresh = [*fresh, ("date", formatdate(received_at, usegmt=True))]
        entry = Entry(
            key=stored.key,
            variant=stored.variant,
            status=stored.status,
            headers=merged(stored.headers, fresh),
            requested_at=requested_at,
            received_at=received_at,
            size=stored.size,
            negative_seconds=stored.negative_seconds,
            body=stored.body,
            file=stored.file,
            id=stored.id,
        )
        # what a 304 says to one client's credentials, or under its no-store, is for that client alone
        storing = not fetch.doomed and why_not("GET", fetch.asked, entry.status, entry.fields) is None
        if storing:
            self._note_reuse(entry)
            storing = await self._store.refresh(entry, fetch.since)
        fetch.head.set_result(Head(entry, confirmed=True, storing=storing))

    async def _receive(self, fetch: Fetch, answer: Answer, requested_at: float, received_at: float) -> None:
        entry = self._entry(fetch, answer, requested_at, received_at)
        storing = not fetch.doomed and self._may_keep(fetch, entry, fetch.asked)
        limit = self._store.object_limit if storing else 0
        spool = fetch.spool = Spool(self._store.body_file, small=SMALL, limit=limit)
        if fetch.has_leader:
            fetch.leader = spool.reader()
        if not storing:
            self._leave(fetch)
            if fetch.doomed or not self._may_keep(fetch, entry, {}):  # else it is only this client's wish
                self._mark_not_shared(fetch.key)
                if fetch.stored is not None and entry.status not in ERRORS:
                    # the origin says something newer, which must not be kept
                    await self._store.remove(fetch.key)
        elif not self._note_reuse(entry):
            self._let_go(fetch)
        if not storing or not 0 <= entry.size <= WAITED_FOR:
            self._let_go(fetch)
        fetch.head.set_result(Head(entry, storing=storing))
        async for part in answer.parts:
            await spool.write(part)
        if entry.size not in (-1, spool.size):
            raise OriginFailed(502, "the origin broke off")
        spool.end()
        if storing:
            await self._keep(fetch, entry, spool)

    async def _keep(self, fetch: Fetch, entry: Entry, spool: Spool) -> None:
        file = spool.file if isinstance(spool.file, BodyFile) else None
        kept = False
        if spool.keeping and not fetch.doomed:
            entry.size = spool.size
            entry.body = spool.content()
            entry.file = file.name if file is not None else None
            kept = await self._store.keep(entry, file, tags_of(entry.fields), fetch.since)
            if kept and fetch.doomed:
                await self._store.remove(fetch.key)  # it was invalidated while it was written
        if not kept and file is not None:
            file.discard()

    def _entry(self, fetch: Fetch, answer: Answer, requested_at: float, received_at: float) -> Entry:
        headers = answer.headers
        fields = joined(headers)
        if "date" not in fields:
            headers = [*headers, ("date", formatdate(received_at, usegmt=True))]
        length = fields.get("content-length", "")
        return Entry(
            key=fetch.key,
            variant=variant_of(fields.get("vary", ""), fetch.asked),
            status=answer.status,
            headers=headers,
            requested_at=requested_at,
            received_at=received_at,
            size=int(length) if length.isascii() and length.isdigit() else -1,
            negative_seconds=self._store.negative_seconds,
        )

    def _may_keep(self, fetch: Fetch, entry: Entry, asked: Fields) -> bool:
        if why_not("GET", asked, entry.status, entry.fields) is not None:
            return False
        if fetch.stored is not None and entry.status in ERRORS:
            return False  # what is stored may still stand in for it
        return entry.size <= self._store.object_limit and is_worth_storing(entry.fields, entry.lifetime)

    def _note_reuse(self, entry: Entry) -> bool:
        """Return whether other requests may use `entry` unvalidated; if not, remember not to wait for the like."""
        reusable = decide(entry, {}, self._clock()).reuse is Reuse.SERVE
        if not reusable:
            self._mark_not_shared(entry.key)
        return reusable

    def _mark_not_shared(self, key: str) -> None:
        self._not_shared[key] = self._clock() + NOT_SHARED_FOR
        self._not_shared.move_to_end(key)
        if len(self._not_shared) > NOT_SHARED_LIMIT:
            self._not_shared.popitem(last=False)


def _confirms(stored: Entry, headers: Pairs) -> bool:
    """Whether a 304 is for what is stored, and leaves it what may be stored and given to the same requests."""
    fresh = joined(headers)
    if "etag" in fresh and stored.etag is not None and not _same(fresh["etag"], stored.etag):
        return False
    fields = joined(merged(stored.headers, headers))
    varies = set(members(fields.get("vary", ""))) != {name for name, _ in stored.variant}
    return not varies and why_not("GET", {}, stored.status, fields) is None


def _same(one: str, other: str) -> bool:
    return one.removeprefix("W/") == other.removeprefix("W/")
