"""One question that the cache conformance suite asks: requests, what the origin answers, what must be seen.

Nothing waits for time to pass: a response that must be stale arrives with an Age, a Date or an Expires that say so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum

YEAR = 31_536_000  # seconds


class Level(StrEnum):
    """How binding the behaviour is; FREE: the RFCs leave it to the cache."""

    MUST = "must"
    SHOULD = "should"
    FREE = "free"


class Outcome(StrEnum):
    """Where an answer came from, as origin and client see it."""

    FORWARDED = "asks the origin"
    REUSED = "reuses what is stored"
    VALIDATED = "validates what is stored"
    REFRESHED = "reuses what is stored and asks the origin behind the answer"
    STALE = "reuses what is stored when the origin has failed"
    REFUSED = "answers itself"


@dataclass(frozen=True, slots=True)
class At:
    """An HTTP date, in seconds from the beginning of the case."""

    offset: float = 0.0

    def text(self, start: float) -> str:
        return formatdate(start + self.offset, usegmt=True)


Value = str | At
Lines = Iterable[tuple[str, Value]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the origin answers. Without `date` among its lines Date is the present; None leaves it out.

    It answers 304 itself to a condition that holds, unless `validates` is False. `closes`: the connection breaks off.
    """

    lines: tuple[tuple[str, Value | None], ...] = ()
    status: int = 200
    body: str | None = None  # None: text that is another for each request
    validates: bool = True
    closes: bool = False
    interim: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `reply` is the origin's answer from now on; None for the one before.

    `has` are fields of the response to the client, `sends` those of the last request to the origin: a value, None for
    absent, `...` for any. `body` is the response's text where the case depends on it.
    """

    outcome: Outcome
    reply: Reply | None = None
    asks: tuple[tuple[str, Value], ...] = ()
    method: str = "GET"
    path: str = ""  # behind the case's own
    status: int | None = None  # None: that of the reply
    has: dict[str, object] = field(default_factory=dict)
    sends: dict[str, object] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """`section` begins with the number of the RFC; `text` is a sentence about the cache."""

    section: str
    level: Level
    text: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.section}: {self.text}"


def reply(*control: str, status: int = 200, body: str | None = None, **lines: Value | None) -> Reply:
    """A reply with lines of Cache-Control, and others by their names with `_` for `-`."""
    fields = [("cache-control", value) for value in control]
    return Reply((*fields, *((name.replace("_", "-"), value) for name, value in lines.items())), status, body)


def asks(**lines: Value) -> tuple[tuple[str, Value], ...]:
    """The lines of a request by their names, with `_` for `-`."""
    return tuple((name.replace("_", "-"), value) for name, value in lines.items())


def twice(outcome: Outcome, first: Reply, *, status: int | None = None, **lines: Value) -> tuple[Step, ...]:
    """A request that may fill the store, then the same again, which shows what was stored."""
    asked = asks(**lines)
    return (
        Step(Outcome.FORWARDED, first, asked, status=status),
        Step(outcome, None, asked, status=status),
    )
