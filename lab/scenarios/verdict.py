"""What a scenario ends in: numbers, each with what it had to be, and whether all are so."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was measured or seen. `wanted` is words for people; `ok` is the judgement."""

    what: str
    value: float | int | str
    unit: str
    wanted: str
    ok: bool


@dataclass(slots=True)
class Verdict:
    """A scenario's findings, in the order they were made."""

    scenario: str
    lab: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.findings) and all(finding.ok for finding in self.findings)

    def equal(self, what: str, value: float | int | str, wanted: float | int | str) -> None:
        """Add a value that must be just this."""
        self.findings.append(Finding(what, value, "", f"{wanted}", value == wanted))

    def within(self, what: str, value: float, limit: float, unit: str) -> None:
        """Add a value that must not be greater."""
        self.findings.append(Finding(what, value, unit, f"at most {limit:g}", value <= limit))

    def at_least(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Add a value that must not be less."""
        self.findings.append(Finding(what, value, unit, f"at least {limit:g}", value >= limit))

    def note(self, what: str, value: float | int | str, unit: str = "") -> None:
        """Add a value that has no limit."""
        self.findings.append(Finding(what, value, unit, "", True))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ok": self.ok}

    def markdown(self) -> str:
        """The same table for a page."""
        rows = [
            f"| {f.what} | {_format_value(f)} | {f.wanted} | {'' if f.ok else 'missed'} |"
            for f in self.findings
        ]
        return "\n".join(["| | measured | target | |", "|---|---|---|---|", *rows])

    def text(self) -> str:
        """A table for people, the judgement last."""
        rows = [(f.what, _format_value(f), f.wanted, "" if f.ok else "FAILED") for f in self.findings]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"  {what:<{widths[0]}}  {value:>{widths[1]}}  {wanted:<{widths[2]}}  {failed}".rstrip()
            for what, value, wanted, failed in rows
        ]
        failed = sum(not finding.ok for finding in self.findings)
        word = "passed" if self.ok else f"FAILED, {failed} of {len(rows)}"
        return "\n".join([*lines, f"{self.scenario} ({self.lab}): {word}"])


def format_summary(verdicts: list[Verdict], seconds: list[float]) -> str:
    """A table of several: what came of each, and how long it took."""
    width = max(len(verdict.scenario) for verdict in verdicts)
    return "\n".join(
        f"  {verdict.scenario:<{width}}  {'passed' if verdict.ok else 'FAILED'}"
        f"  {sum(finding.ok for finding in verdict.findings):>3} of {len(verdict.findings):<3} {took:>6.1f} s"
        for verdict, took in zip(verdicts, seconds, strict=True)
    )


def _format_value(finding: Finding) -> str:
    value = finding.value
    shown = f"{value:,.2f}" if isinstance(value, float) else str(value)
    return f"{shown} {finding.unit}".rstrip()
