"""What an edge's worker knows of one origin: whether it may be asked, and why not.

Ejected: it failed several requests in a row, and is not asked for a while; then one request tries it. Ill: the active
checks fail.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from services.origins import Ejection


class OriginHealth(StrEnum):
    """Published state of an origin."""

    HEALTHY = "healthy"
    EJECTED = "ejected"
    ILL = "ill"


LATENCY_WEIGHT = 0.2  # of the newest response in the smoothed latency


@dataclass(slots=True)
class OriginState:
    """Times are those of the monotonic clock, in seconds. `ill` is set by the active checks."""

    ejection: Ejection
    ill: bool = False
    requests: int = 0
    failures: int = 0
    cause: str = ""  # of the last failure of a request or a check
    latency: float | None = None  # seconds until a response begins, smoothed
    answered_at: float = float("-inf")  # when the last response began
    unhealthy_since: float | None = None
    _in_a_row: int = field(default=0, repr=False)
    _ejected_until: float | None = field(default=None, repr=False)
    _trying: bool = field(default=False, repr=False)

    @property
    def health(self) -> OriginHealth:
        if self.ill:
            return OriginHealth.ILL
        return OriginHealth.EJECTED if self._ejected_until is not None else OriginHealth.HEALTHY

    def may_ask(self, now: float, *, repeatable: bool) -> bool:
        """Whether a request may go to the origin. The first one after an ejection must be `repeatable`.

        Another request tries it only once the time has passed twice: its client would see the failure.
        """
        if self.ill or self._ejected_until is None:
            return not self.ill
        delay = 0.0 if repeatable else self.ejection.seconds
        return not self._trying and now >= self._ejected_until + delay

    def begin_request(self) -> bool:
        """Count a request; return whether it tries the origin after an ejection, for `end_request`."""
        self.requests += 1
        tries = self._ejected_until is not None and not self._trying
        self._trying = self._trying or tries
        return tries

    def end_request(self, tries: bool) -> None:
        """Let another request try the origin, if this one did and ended without a result."""
        if tries:
            self._trying = False

    def record_latency(self, seconds: float, now: float) -> None:
        """Record that a response of any status has begun after so many seconds."""
        before = seconds if self.latency is None else self.latency
        self.latency = before + LATENCY_WEIGHT * (seconds - before)
        self.answered_at = now

    def record_success(self) -> bool:
        """Record a usable response; return whether the origin was ejected until now."""
        was_ejected = self._ejected_until is not None
        self._in_a_row = 0
        self._ejected_until = None
        self._note_change()
        return was_ejected

    def mark_ill(self, cause: str, now: float) -> None:
        """Record that the active checks fail."""
        self.ill, self.cause = True, cause
        self._note_change(now)

    def mark_checked(self) -> None:
        """Record that the active checks fail no longer, or are made no longer."""
        self.ill = False
        self._note_change()

    def record_failure(self, cause: str, now: float) -> bool:
        """Record a failure; return whether the origin is ejected from now on, after enough of them in a row."""
        was_ejected = self._ejected_until is not None
        self.failures += 1
        self._in_a_row += 1
        self.cause = cause
        if self._in_a_row >= self.ejection.failures:
            self._ejected_until = now + self.ejection.seconds
            self._note_change(now)
        return not was_ejected and self._ejected_until is not None

    def _note_change(self, now: float | None = None) -> None:
        if self.health is OriginHealth.HEALTHY:
            self.unhealthy_since = None
        elif self.unhealthy_since is None:
            self.unhealthy_since = now
