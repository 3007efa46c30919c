"""Whether the edges that have a candidate are well: they have applied it, and do no worse than the others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from balancer.api.applied_services import ServiceCounts

MARGIN = 0.02  # a share of failures may be so much higher
FEWEST_FAILURES = 5  # fewer are no evidence
FEWEST_REQUESTS = 20  # fewer say nothing about a share


class StageHealth(StrEnum):
    """Only a stage that is well is passed; one that is ill goes back."""

    WELL = "well"
    WAITING = "waiting"
    ILL = "ill"


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """The health of the edges with a candidate, and the reason if they are not well."""

    health: StageHealth
    why: str = ""


@dataclass(frozen=True, slots=True)
class EdgeSign:
    """What is known of an edge: whether it has applied the generation with the candidate, or refuses it."""

    edge_id: int
    alive: bool = True
    applied: bool = True
    refusal: str = ""
    counts: ServiceCounts | None = None  # since the edge's start; None: it does not say them yet


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of several edges together."""

    requests: int = 0
    server_errors: int = 0
    origin_requests: int = 0
    origin_failures: int = 0

    def plus(self, counts: ServiceCounts, before: ServiceCounts) -> "Tally":
        """Add what an edge counted since `before`; after a restart it counts from zero."""
        names = ("requests", "server_errors", "origin_requests", "origin_failures")
        restarted = counts.requests < before.requests or counts.origin_requests < before.origin_requests
        since = ServiceCounts() if restarted else before
        return Tally(
            *(getattr(self, name) + max(0, getattr(counts, name) - getattr(since, name)) for name in names)
        )


def tally_counts(signs: Iterable[EdgeSign], before: Mapping[int, ServiceCounts]) -> Tally:
    """Add up what these edges counted since `before`, by edge id."""
    total = Tally()
    for sign in signs:
        if sign.counts is not None:
            total = total.plus(sign.counts, before.get(sign.edge_id, sign.counts))
    return total


def judge_edges(members: Sequence[EdgeSign]) -> StageVerdict:
    """Judge by what the edges with the candidate say of it."""
    for sign in members:
        if sign.refusal:
            return StageVerdict(StageHealth.ILL, f"edge {sign.edge_id} refuses it: {sign.refusal}")
        if not sign.alive:
            return StageVerdict(StageHealth.ILL, f"edge {sign.edge_id} is down since it has the candidate")
    missing = [str(sign.edge_id) for sign in members if not sign.applied]
    if missing:
        return StageVerdict(StageHealth.WAITING, f"not applied yet by edge {', '.join(missing[:10])}")
    if not members:
        return StageVerdict(StageHealth.WAITING, "no live edge is in the stages")
    return StageVerdict(StageHealth.WELL)


def compare_figures(members: Tally, others: Tally, earlier: Tally) -> StageVerdict:
    """Hold the figures of edges with the candidate against the others', or else against their own before."""
    for what, failures, requests in (
        ("answers are 5xx", "server_errors", "requests"),
        ("origin requests fail", "origin_failures", "origin_requests"),
    ):
        here, share = getattr(members, failures), _share_of(members, failures, requests)
        base = others if getattr(others, requests) >= FEWEST_REQUESTS else earlier
        usual = _share_of(base, failures, requests)
        if here >= FEWEST_FAILURES and share > usual + MARGIN:
            return StageVerdict(StageHealth.ILL, f"{share:.1%} of {what}, {usual:.1%} without the candidate")
    return StageVerdict(StageHealth.WELL)


def _share_of(tally: Tally, failures: str, requests: str) -> float:
    total = getattr(tally, requests)
    return min(1.0, getattr(tally, failures) / total) if total else 0.0
