"""One rollout's stage over time: how long it has been well, and what that leads to. Time is passed in.

A control plane that starts again begins the dwell time anew: it has not seen that the stage was well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from balancer.api.applied_services import ServiceCounts
from balancer.control.services.rollout.verdict import (
    EdgeSign,
    StageHealth,
    StageVerdict,
    Tally,
    compare_figures,
    judge_edges,
    tally_counts,
)

PATIENCE_SECONDS = 600.0  # until all edges of a stage must be well


JUST_BEGUN = StageVerdict(StageHealth.WAITING, "just begun")


class NextStep(StrEnum):
    """What to do with a rollout now."""

    WAIT = "wait"
    ADVANCE = "advance"
    RETURN = "return"


@dataclass(slots=True)
class StageProgress:
    """A stage since it began."""

    began: float
    well_since: float | None = None
    verdict: StageVerdict = JUST_BEGUN
    members: int = 0
    _seen_alive: set[int] = field(default_factory=set)
    _before: dict[int, ServiceCounts] = field(default_factory=dict)

    def judge_stage(
        self, members: Sequence[EdgeSign], others: Sequence[EdgeSign], now: float
    ) -> StageVerdict:
        """Judge the stage by the newest signs. Edges that were down when it began do not count."""
        self._seen_alive |= {sign.edge_id for sign in members if sign.alive}
        counted = [sign for sign in members if sign.edge_id in self._seen_alive]
        self.members = len(counted)
        for sign in (*counted, *others):
            if sign.counts is not None:
                self._before.setdefault(sign.edge_id, sign.counts)
        verdict = judge_edges(counted)
        if verdict.health is not StageHealth.ILL:
            figures = self._compare_figures(counted, others)
            verdict = figures if figures.health is StageHealth.ILL else verdict
        if verdict.health is not StageHealth.WELL:
            self.well_since = None
        elif self.well_since is None:
            self.well_since = now
        self.verdict = verdict
        return verdict

    def forget_verdict(self) -> None:
        """Wait until the stage can be judged again."""
        self.well_since, self.verdict = None, JUST_BEGUN

    def next_step(self, now: float, dwell: float) -> NextStep:
        """Decide after `judge_stage`."""
        if self.verdict.health is StageHealth.ILL:
            return NextStep.RETURN
        if self.well_since is not None:
            return NextStep.ADVANCE if now - self.well_since >= dwell else NextStep.WAIT
        if now - self.began > PATIENCE_SECONDS + dwell:
            return NextStep.RETURN
        return NextStep.WAIT

    def _compare_figures(self, members: Sequence[EdgeSign], others: Sequence[EdgeSign]) -> StageVerdict:
        earlier = Tally()
        for sign in members:
            earlier = earlier.plus(self._before.get(sign.edge_id, ServiceCounts()), ServiceCounts())
        return compare_figures(
            tally_counts(members, self._before), tally_counts(others, self._before), earlier
        )
