"""What is wrong with this node: hard failures, with which it can serve no client, and soft ones.

A soft failure counts for the announcement only when it lasts, and is over only when it stays away: routes must not
follow a probe that is lost now and then.
"""

from dataclasses import dataclass

from balancer.api.schemas import Health

CONFIRM_SECONDS = 2.0  # seconds
CLEAR_SECONDS = 5.0
MAXIMUM_REASONS = 16  # of a heartbeat


@dataclass(frozen=True, slots=True)
class Findings:
    """Texts that begin with the name of what was looked at, and what the edge said of itself."""

    hard: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # reported, and nothing is done about the announcement
    sessions: int | None = None
    at_service_port: int | None = None  # of the sessions, where the edge says so

    @property
    def health(self) -> Health:
        if self.hard:
            return Health.DOWN
        return Health.DEGRADED if self.soft or self.notes else Health.OK

    @property
    def reasons(self) -> list[str]:
        return [_printable_text(reason[:200]) for reason in (*self.hard, *self.soft, *self.notes)][
            :MAXIMUM_REASONS
        ]


def _printable_text(text: str) -> str:
    """Replace what a terminal would obey and what UTF-8 cannot hold: some of it comes from an edge server."""
    return "".join(each if each.isprintable() else "?" for each in text)


class DebouncedFailure:
    """A soft failure with hysteresis. Time is passed in."""

    def __init__(self) -> None:
        self._differs_since: float | None = None
        self.reason: str | None = None

    def update(self, soft: tuple[str, ...], now: float) -> str | None:
        """Return the reason to act on, or None."""
        if bool(soft) == (self.reason is not None):
            self._differs_since = None
            if soft:
                self.reason = soft[0]
            return self.reason
        if self._differs_since is None:
            self._differs_since = now
        if now - self._differs_since >= (CONFIRM_SECONDS if soft else CLEAR_SECONDS):
            self._differs_since = None
            self.reason = soft[0] if soft else None
        return self.reason
