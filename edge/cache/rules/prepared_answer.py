"""What clients are sent of a stored response, made once for all requests until its Age or ttl changes."""

from typing import Final

from edge.telemetry.access_log.fast_hit import HitOutcome

_EXPIRED: Final = 0.0


class PreparedAnswer:
    """`head` ends where the request's id is put, `body` follows it. Valid from `since` to before `until`.

    Times are seconds since the epoch. `changes` are the service's changes of fields that the head was made with.
    """

    __slots__ = ("body", "changes", "head", "outcome", "since", "until")

    def __init__(self, changes: object) -> None:
        self.changes = changes
        self.head = b""
        self.body = b""
        self.outcome = HitOutcome(0, 0, 0)
        self.since = _EXPIRED
        self.until = _EXPIRED

    def renew(self, head: bytes, body: bytes, outcome: HitOutcome, since: float, until: float) -> None:
        """Set what is sent from now on."""
        self.head = head
        self.body = body
        self.outcome = outcome
        self.since = since
        self.until = until

    @property
    def is_expired(self) -> bool:
        return self.until == _EXPIRED

    def expire(self) -> None:
        """Never be valid again, and let the body go: what it was made of has left the memory."""
        self.since = self.until = _EXPIRED
        self.head = self.body = b""
