"""One result of a check: what was found, and what to do about it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Warnings cost something, such as speed; an error keeps sessions, or an edge, from working."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`remedy` is empty where nothing is wrong."""

    check: str
    severity: Severity
    found: str
    remedy: str = ""

    @classmethod
    def fine(cls, check: str, found: str) -> "CheckResult":
        return cls(check, Severity.OK, found)

    @classmethod
    def warning(cls, check: str, found: str, remedy: str) -> "CheckResult":
        return cls(check, Severity.WARNING, found, remedy)

    @classmethod
    def error(cls, check: str, found: str, remedy: str) -> "CheckResult":
        return cls(check, Severity.ERROR, found, remedy)

    def to_json(self) -> dict[str, str]:
        return asdict(self)


Report = Callable[[CheckResult], None]
