"""One stored response and the properties that do not depend on a request."""

from dataclasses import dataclass, field, replace
from typing import Any

from edge.cache.rules.freshness import freshness_lifetime, initial_age, is_positive
from edge.cache.rules.lifetimes import NO_POLICY, LifetimePolicy
from edge.cache.rules.prepared_answer import PreparedAnswer
from edge.cache.rules.targeted import effective_directives
from edge.cache.rules.variants import Variant
from edge.http.fields import Pairs, combine_fields
from smkex.http.semantics.dates import parse_http_date

ROW_OVERHEAD = 512  # approximate bytes of a row and its indexes beside headers and body


@dataclass(slots=True, eq=False)
class StoredResponse:
    """A response as the origin sent it, without what is hop by hop.

    `body` holds it when it is small, else the file named `file` does. Times are seconds since the epoch: when the
    request was made and when its answer, or the last 304, came.
    """

    key: str
    variant: Variant
    status: int
    headers: Pairs
    requested_at: float
    received_at: float
    size: int
    policy: LifetimePolicy = NO_POLICY
    body: bytes | None = None
    file: str | None = None
    id: int = 0
    purged_at: float | None = None  # when a soft purge made it stale
    in_memory: bool = field(default=False, init=False, repr=False)
    prepared: PreparedAnswer | None = field(default=None, init=False, repr=False)
    # what was prepared of this response or with its body, and expires when it leaves the memory
    dependents: list[PreparedAnswer] = field(default_factory=list, init=False, repr=False)
    # the source that the body was made of, and what clients are sent (`edge.proxy.coded_responses`)
    view: "tuple[StoredResponse, StoredResponse] | None" = field(default=None, repr=False)
    fields: dict[str, str] = field(init=False)
    control: dict[str, str] = field(init=False)
    lifetime: float = field(init=False)
    fresh_until: float = field(init=False)

    def __post_init__(self) -> None:
        self.fields = combine_fields(self.headers)
        self.control = self.policy.effective_control(
            effective_directives(self.fields), is_error=not is_positive(self.status)
        )
        self.lifetime = freshness_lifetime(self.status, self.fields, self.received_at, self.policy)
        age = initial_age(self.fields, self.requested_at, self.received_at)
        self.fresh_until = self.received_at - age + self.lifetime
        if self.purged_at is not None and self.purged_at < self.fresh_until:
            self.lifetime -= self.fresh_until - self.purged_at
            self.fresh_until = self.purged_at

    @property
    def etag(self) -> str | None:
        return self.fields.get("etag")

    @property
    def modified(self) -> float | None:
        return parse_http_date(self.fields.get("last-modified"))

    @property
    def has_validator(self) -> bool:
        return self.etag is not None or self.modified is not None

    def age(self, now: float) -> float:
        """Seconds since the origin made or confirmed it."""
        return max(0.0, now - (self.fresh_until - self.lifetime))

    def with_policy(self, policy: LifetimePolicy) -> "StoredResponse":
        """Return the same response under another policy; a request that uses this one is not disturbed."""
        return self.with_changes(policy=policy)

    def with_changes(self, **changes: Any) -> "StoredResponse":
        """Return another response with what was not computed from this one."""
        return replace(self, **{"view": None, **changes})

    def add_dependent(self, answer: PreparedAnswer) -> None:
        """Have `answer` expire when this response leaves the memory."""
        self.dependents = [one for one in self.dependents if not one.is_expired]
        self.dependents.append(answer)

    def leave_memory(self) -> None:
        """Expire what was prepared of this response."""
        self.in_memory = False
        for answer in self.dependents:
            answer.expire()
        self.dependents.clear()

    def cost(self) -> int:
        """Bytes charged against the cache limit."""
        return self.size + ROW_OVERHEAD + sum(len(name) + len(value) for name, value in self.headers)


def merge_headers(stored: Pairs, fresh: Pairs) -> Pairs:
    """Headers after a 304: its fields replace the stored ones (RFC 9111 section 3.2), except what frames the body."""
    kept = {"content-length", "content-encoding", "content-range"}
    renewed = {name for name, _ in fresh} - kept
    # an Age that the 304 does not repeat described the old response
    return [pair for pair in stored if pair[0] not in renewed and pair[0] != "age"] + [
        pair for pair in fresh if pair[0] in renewed
    ]
