"""A stage is passed only while all its edges are well, and no sooner than the dwell time."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from balancer.api.applied_services import ServiceCounts
from balancer.control.services.rollout.progress import PATIENCE_SECONDS, NextStep, StageProgress
from balancer.control.services.rollout.verdict import (
    FEWEST_FAILURES,
    MARGIN,
    EdgeSign,
    StageHealth,
    Tally,
    compare_figures,
)

DWELL = 30.0


@dataclass
class ModelEdge:
    """An edge as the test has it."""

    alive: bool = True
    applied: bool = False
    refusal: str = ""
    requests: int = 0
    errors: int = 0

    def sign(self, edge_id: int) -> EdgeSign:
        counts = ServiceCounts(requests=self.requests, server_errors=self.errors)
        return EdgeSign(edge_id, self.alive, self.applied, self.refusal, counts)


class StageMachine(RuleBasedStateMachine):
    """Anything happens to edges while a stage is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.members = {number: ModelEdge() for number in (1, 2, 3)}
        self.others = {number: ModelEdge() for number in (4, 5)}
        self.progress = StageProgress(self.now)
        self.step = NextStep.WAIT

    @rule(seconds=st.sampled_from([0.0, 1.0, 10.0, 29.0, DWELL]))
    def look(self, seconds: float) -> None:
        self.now += seconds
        members = [edge.sign(number) for number, edge in self.members.items()]
        others = [edge.sign(number) for number, edge in self.others.items()]
        self.progress.judge_stage(members, others, self.now)
        self.step = self.progress.next_step(self.now, DWELL)

    @rule(number=st.integers(1, 3))
    def apply(self, number: int) -> None:
        self.members[number].applied = True
        self.step = NextStep.WAIT

    @rule(number=st.integers(1, 3), refusal=st.sampled_from(["", "broken"]))
    def refuse(self, number: int, refusal: str) -> None:
        self.members[number].refusal = refusal
        self.step = NextStep.WAIT

    @rule(number=st.integers(1, 3), alive=st.booleans())
    def change_life(self, number: int, alive: bool) -> None:
        self.members[number].alive = alive
        self.step = NextStep.WAIT

    @rule(number=st.integers(1, 5), requests=st.integers(0, 200), errors=st.integers(0, 200))
    def serve(self, number: int, requests: int, errors: int) -> None:
        edge = {**self.members, **self.others}[number]
        edge.requests += requests
        edge.errors += min(errors, requests)
        self.step = NextStep.WAIT

    @precondition(lambda self: self.step is NextStep.ADVANCE)
    @invariant()
    def a_stage_that_is_passed_is_well(self) -> None:
        seen = {number: each for number, each in self.members.items() if number in self.progress._seen_alive}
        assert seen
        assert all(each.alive and each.applied and not each.refusal for each in seen.values())
        assert self.progress.verdict.health is StageHealth.WELL
        assert self.progress.well_since is not None
        assert self.now - self.progress.well_since >= DWELL


TestStageMachine = StageMachine.TestCase


def sign(edge_id: int, requests: int = 0, errors: int = 0, **more: object) -> EdgeSign:
    counts = ServiceCounts(requests=requests, server_errors=errors)
    return EdgeSign(edge_id, counts=counts, **more)  # type: ignore[arg-type]


def test_an_edge_that_was_down_before_the_stage_does_not_hold_it_up() -> None:
    progress = StageProgress(0.0)
    signs = [sign(1), sign(2, alive=False, applied=False)]
    assert progress.judge_stage(signs, [], 0.0).health is StageHealth.WELL
    assert progress.members == 1
    assert progress.next_step(DWELL, DWELL) is NextStep.ADVANCE


def test_an_edge_that_goes_down_with_the_candidate_sends_it_back() -> None:
    progress = StageProgress(0.0)
    progress.judge_stage([sign(1), sign(2)], [], 0.0)
    assert "edge 2 is down" in progress.judge_stage([sign(1), sign(2, alive=False)], [], 1.0).why
    assert progress.next_step(1.0, DWELL) is NextStep.RETURN


def test_a_stage_that_is_not_well_in_time_goes_back() -> None:
    progress = StageProgress(0.0)
    progress.judge_stage([sign(1, applied=False)], [], 0.0)
    assert progress.next_step(PATIENCE_SECONDS, DWELL) is NextStep.WAIT
    assert progress.next_step(PATIENCE_SECONDS + DWELL + 1, DWELL) is NextStep.RETURN


def test_the_dwell_time_begins_anew_after_a_pause_in_health() -> None:
    progress = StageProgress(0.0)
    progress.judge_stage([sign(1)], [], 0.0)
    progress.judge_stage([sign(1, applied=False)], [], 20.0)
    progress.judge_stage([sign(1)], [], 21.0)
    assert progress.next_step(40.0, DWELL) is NextStep.WAIT
    assert progress.next_step(51.0, DWELL) is NextStep.ADVANCE


def test_more_errors_than_the_others_have_send_it_back_and_as_many_do_not() -> None:
    for errors, health in ((60, StageHealth.ILL), (10, StageHealth.WELL)):
        progress = StageProgress(0.0)
        progress.judge_stage([sign(1, 500, 0)], [sign(2, 500, 0)], 0.0)
        verdict = progress.judge_stage([sign(1, 600, errors)], [sign(2, 600, 10)], 1.0)
        assert verdict.health is health, verdict


def test_without_others_an_edge_is_held_against_itself_before() -> None:
    for errors, health in ((50 + 60, StageHealth.ILL), (50 + 5, StageHealth.WELL)):
        progress = StageProgress(0.0)
        progress.judge_stage([sign(1, 1000, 50)], [], 0.0)
        assert progress.judge_stage([sign(1, 1100, errors)], [], 1.0).health is health


def test_counts_of_an_edge_that_started_again_begin_at_zero() -> None:
    progress = StageProgress(0.0)
    progress.judge_stage([sign(1, 1000, 500)], [], 0.0)
    assert progress.judge_stage([sign(1, 10, 0)], [], 1.0).health is StageHealth.WELL


def test_what_an_edge_counted_before_it_was_asked_weighs_nothing() -> None:
    for lifetime, errors, health in ((10**6, 60, StageHealth.ILL), (1000, 0, StageHealth.WELL)):
        progress = StageProgress(0.0)
        progress.judge_stage([EdgeSign(1)], [EdgeSign(2)], 0.0)  # not asked yet for its counts
        progress.judge_stage([sign(1, lifetime, 500)], [sign(2, lifetime, 0)], 1.0)
        verdict = progress.judge_stage(
            [sign(1, lifetime + 100, 500 + errors)], [sign(2, lifetime + 100, 0)], 2.0
        )
        assert verdict.health is health, verdict


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_figures_are_ill_only_by_failures_beyond_the_margin(
    requests: int, errors: int, other_requests: int, other_errors: int
) -> None:
    errors, other_errors = min(errors, requests), min(other_errors, other_requests)
    verdict = compare_figures(Tally(requests, errors), Tally(other_requests, other_errors), Tally())
    if verdict.health is StageHealth.ILL:
        assert errors >= FEWEST_FAILURES
        assert errors / requests > MARGIN
