"""What services did since the last heartbeat that was answered: none lost, none counted twice."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from balancer.api.figures import (
    FAILURES,
    SERVICES_LIMIT,
    SESSION_SECONDS,
    FiguresReport,
    ServiceFiguresBody,
)


class FigureReporter:
    """Turns the edge's counts, which only grow while it runs, into reports; one that is not answered is repeated."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] | None = None
        self._waiting: dict[str, list[float]] = {}
        self._sent: FiguresReport | None = None
        self._sequence = 0

    def next_report(self, figures: Mapping[str, Any]) -> FiguresReport | None:
        """Take in the edge's counts by service, and return what to report; None where there is nothing."""
        self._take_in(figures)
        if self._sent is None and self._waiting:
            busiest = sorted(self._waiting, key=lambda name: -_waiting_weight(self._waiting[name]))[
                :SERVICES_LIMIT
            ]
            self._sequence += 1
            self._sent = FiguresReport(
                sequence=self._sequence,
                services={
                    name: ServiceFiguresBody.model_validate(
                        ServiceFiguresBody.named_numbers(self._waiting.pop(name))
                    )
                    for name in busiest
                },
            )
        return self._sent

    def acknowledge(self, report: FiguresReport | None) -> None:
        """Note that a report has been answered."""
        if report is not None and self._sent is not None and report.sequence == self._sent.sequence:
            self._sent = None

    def _take_in(self, figures: Mapping[str, Any]) -> None:
        counts = {name: numbers for name in figures if (numbers := _numbers_of(figures[name])) is not None}
        if not counts:
            return  # no answer from the edge, or nothing served yet
        # what the edge did before this agent's start was reported by the one before
        seen, self._seen = (counts if self._seen is None else self._seen), counts
        for name, numbers in counts.items():
            before = seen.get(name)
            if before is None or any(now < then for now, then in zip(numbers, before, strict=True)):
                before = [0.0] * len(numbers)  # a new service, or the edge has started again
            grown = [now - then for now, then in zip(numbers, before, strict=True)]
            if any(grown):
                waiting = self._waiting.get(name, [0.0] * len(numbers))
                self._waiting[name] = [left + right for left, right in zip(waiting, grown, strict=True)]


def _waiting_weight(numbers: list[float]) -> float:
    """Grow with the time that a service waits, also one whose sessions ask for nothing."""
    return numbers[0] + numbers[SESSION_SECONDS] + sum(numbers[FAILURES])


def _numbers_of(counts: Any) -> list[float] | None:
    try:
        return ServiceFiguresBody.model_validate(counts).as_numbers()
    except ValidationError:
        return None  # of an edge of another version
