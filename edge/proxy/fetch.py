"""One fetch: a request to the origin that may fill the store, and its result."""

import asyncio
from dataclasses import dataclass, field

from edge.cache.rules.lifetimes import LifetimePolicy
from edge.cache.rules.reuse import Reuse, decide_reuse
from edge.cache.rules.stored_response import StoredResponse
from edge.cache.rules.variants import variant_matches
from edge.cache.storage.spool import Spool, SpoolReader
from edge.http.fields import Fields, Pairs
from edge.http.origin_response import OriginFailed
from edge.services.active_service import ActiveService

ERROR_STATUS = frozenset({500, 502, 503, 504})  # may be replaced by a stale response (RFC 5861 section 4)


@dataclass(slots=True)
class FetchResult:
    """Result of a fetch: a response, a validation of the stored one, or a failure.

    `storing`: the response is or will be stored. `elsewhere`: another worker fetched it, and its stored response counts
    as confirmed.
    """

    entry: StoredResponse | None = None
    confirmed: bool = False
    failure: OriginFailed | None = None
    storing: bool = False
    elsewhere: bool = False

    @property
    def is_error(self) -> bool:
        return self.failure is not None or (self.entry is not None and self.entry.status in ERROR_STATUS)


@dataclass(slots=True, eq=False)
class Fetch:
    """One request to the origin. The response of a `discarded` one is not stored: its key was invalidated."""

    service: ActiveService
    policy: LifetimePolicy
    key: str
    own_key: str  # that of the URL: `key` may be that of an equivalent one (No-Vary-Search)
    target: bytes
    headers: Pairs
    asked: Fields
    stored: StoredResponse | None
    since: int  # last change of the store before the fetch: a later invalidation prevents storing
    head: asyncio.Future[FetchResult]
    spool: Spool | None = None
    leader: SpoolReader | None = None
    has_leader: bool = True
    direct: bool = True  # asks an origin, not the edge that shields the key
    clients: int = 0  # requests that wait for it or read its body
    abandoned: bool = False  # by its clients, before its head
    discarded: bool = False
    leased: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def authorized(self) -> bool:
        return "authorization" in self.asked

    @property
    def is_unwanted(self) -> bool:
        """Whether the rest is of no use: its clients have left, and it is not being stored."""
        if not self.has_leader or self.clients:
            return False  # in the background it renews what is stored
        if not self.head.done():
            return True
        if self.spool is None or self.spool.ended:
            return False
        return self.discarded or not (self.head.result().storing and self.spool.is_kept)

    @property
    def can_be_joined(self) -> bool:
        """Whether another request may wait for the head: with Authorization only once it has arrived."""
        return not self.authorized or self.head.done()

    def can_answer(self, asked: Fields, now: float) -> bool:
        """Whether this fetch may answer another request. Its head must have arrived.

        True only if the store would serve the same response now (RFC 9111 section 4). A failure answers all waiting
        requests, unless the fetch carried credentials.
        """
        head = self.head.result()
        if head.failure is not None:
            return not self.authorized
        if head.entry is None or not head.storing or self.discarded:
            return False
        return (
            variant_matches(head.entry.variant, asked)
            and decide_reuse(head.entry, asked, now).reuse is Reuse.SERVE
        )
