"""Rings of sums: what each service did in steps of ten seconds, a minute and ten minutes, for a day at most."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from balancer.api.figures import NUMBERS, FiguresReport, ServiceFiguresBody
from balancer.control.clock import Clock
from balancer.control.figures.edge_ring import STEP_SECONDS, STEPS, EdgeRing

SERVICES_KEPT = 10_000  # beyond which new names are left out: names come from edges


@dataclass(frozen=True, slots=True)
class RingSize:
    """Steps of so many seconds, and how many of them are kept."""

    seconds: int
    steps: int


# a busy service takes 130 KB
RINGS = (RingSize(10, 90), RingSize(60, 180), RingSize(600, 144))


class _Ring:
    """Sums by step; a step is the time divided by its length."""

    __slots__ = ("_size", "_sums")

    def __init__(self, size: RingSize) -> None:
        self._size = size
        self._sums: dict[int, array[float]] = {}

    def add_numbers(self, now: float, numbers: list[float]) -> None:
        step = int(now // self._size.seconds)
        sums = self._sums.get(step)
        if sums is None:
            oldest = step - self._size.steps
            for each in [each for each in self._sums if each <= oldest]:
                del self._sums[each]
            sums = self._sums[step] = array("d", bytes(8 * NUMBERS))
        for at, number in enumerate(numbers):
            sums[at] += number

    def read_steps(self, first: int, end: int) -> Iterator[tuple[float, list[float]]]:
        """Yield the beginning of each step from `first` on and before `end`, oldest first, and its sums."""
        for step in sorted(self._sums):
            if first <= step < end:
                yield float(step * self._size.seconds), self._sums[step].tolist()


class FigureRings:
    """The figures of all services. Each report of an edge counts once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._services: dict[str, tuple[_Ring, ...]] = {}
        self._fleet = tuple(map(_Ring, RINGS))
        self._edges: dict[int, EdgeRing] = {}
        self._reported: dict[int, tuple[str | None, int]] = {}

    def record_report(self, edge_id: int, instance: str | None, report: FiguresReport | None) -> None:
        """Add what an edge reports; its agent repeats a report whose answer it did not get."""
        if report is None or self._reported.get(edge_id) == (instance, report.sequence):
            return
        self._reported[edge_id] = instance, report.sequence
        now = self._clock.now().timestamp()
        if report.services:
            self._add_sums(edge_id, now, report.services.values())
        for name, figures in report.services.items():
            rings = self._services.get(name)
            if rings is None:
                if len(self._services) >= SERVICES_KEPT:
                    continue
                rings = self._services[name] = tuple(map(_Ring, RINGS))
            numbers = figures.as_numbers()
            for ring in rings:
                ring.add_numbers(now, numbers)

    def _add_sums(self, edge_id: int, now: float, services: Iterable[ServiceFiguresBody]) -> None:
        sums = [sum(column) for column in zip(*(each.as_numbers() for each in services), strict=True)]
        for ring in self._fleet:
            ring.add_numbers(now, sums)
        self._edges.setdefault(edge_id, EdgeRing()).add_numbers(now, sums)

    def forget_edge(self, edge_id: int) -> None:
        self._reported.pop(edge_id, None)
        self._edges.pop(edge_id, None)

    def steps_of(self, service: str | None, step_seconds: int) -> tuple[int, list[list[float]]]:
        """Return the first step that has ended and is kept, and the sums of each, of a service or of the fleet."""
        number = [size.seconds for size in RINGS].index(step_seconds)
        end = self._step_now(RINGS[number])
        first = end - RINGS[number].steps + 1
        rings = self._fleet if service is None else self._services.get(service)
        known = dict(rings[number].read_steps(first, end)) if rings is not None else {}
        nothing = [0.0] * NUMBERS
        return first, [known.get(float(step * step_seconds), nothing) for step in range(first, end)]

    def steps_of_edge(self, edge_id: int) -> list[list[float]]:
        """Return the sums of an edge over the minutes that have ended, from `first_of_edges` on."""
        ring = self._edges.get(edge_id) or EdgeRing()
        return ring.read_steps(self._clock.now().timestamp())

    def first_of_edges(self) -> int:
        """Return the first minute since 1970 that edges' rings keep."""
        return int(self._clock.now().timestamp() // STEP_SECONDS) - STEPS + 1

    def points_of(self, service: str, step_seconds: int) -> list[tuple[float, list[float]]] | None:
        """Return the steps of a service; None where nothing is known of it."""
        rings = self._services.get(service)
        if rings is None:
            return None
        number = [size.seconds for size in RINGS].index(step_seconds)
        end = self._step_now(RINGS[number]) + 1
        return list(rings[number].read_steps(end - RINGS[number].steps, end))

    def totals_since(self, seconds: int) -> dict[str, list[float]]:
        """Return the sums of each service over the last `seconds`, by whole steps of the finest ring that has them.

        The step that has not ended does not count.
        """
        number = next(n for n, size in enumerate(RINGS) if seconds <= size.seconds * (size.steps - 1))
        end = self._step_now(RINGS[number])
        first = end - max(1, round(seconds / RINGS[number].seconds))
        found: dict[str, list[float]] = {}
        for name, rings in self._services.items():
            sums = [numbers for _, numbers in rings[number].read_steps(first, end)]
            if sums:
                found[name] = [sum(column) for column in zip(*sums, strict=True)]
        return found

    def _step_now(self, size: RingSize) -> int:
        return int(self._clock.now().timestamp() // size.seconds)
