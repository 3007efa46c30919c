"""Events of the proxy: one per session or connection that begins, ends or fails."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from smkex.client.report import ConnectionReport


@dataclass(frozen=True, slots=True)
class SessionOpened:
    host: str
    report: ConnectionReport

    def __str__(self) -> str:
        return f"{self.host}: {self.report.line()}"


@dataclass(frozen=True, slots=True)
class SessionEnded:
    host: str
    report: ConnectionReport

    def __str__(self) -> str:
        return f"{self.host}: ended, {self.report.traffic()}"


@dataclass(frozen=True, slots=True)
class WentDirect:
    """A connection that the rules allow without a session."""

    host: str

    def __str__(self) -> str:
        return f"{self.host}: direct, as --others says"


@dataclass(frozen=True, slots=True)
class Failed:
    """`error` is the class, for programs; `text` and `hint` are for people."""

    host: str
    error: str
    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.host}: {self.error}: {self.text}" + (f" ({self.hint})" if self.hint else "")


Event = SessionOpened | SessionEnded | WentDirect | Failed
Observer = Callable[[Event], None]


def as_dict(event: Event) -> dict[str, Any]:
    """For JSON: the fields, and the kind in `event`."""
    return {"event": type(event).__name__, **asdict(event)}
