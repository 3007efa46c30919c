"""Whether and how to announce: the whole decision, case by case."""

import itertools

import pytest

from balancer.agent.announce.announcement import Announcement, Situation, decide
from balancer.agent.announce.drain_times import DrainTimes
from balancer.agent.health.findings import LASTS_AFTER, OVER_AFTER, Lasting
from node.state.desired_state import AdminState, DrainPhase

BOOLEANS = (True, False)
SOFT = "origin: no answer"


@pytest.mark.parametrize(
    ("announcing", "admin", "granted"), list(itertools.product(BOOLEANS, AdminState, BOOLEANS))
)
def test_a_hard_failure_withdraws_whatever_else_is_so(
    announcing: bool, admin: AdminState, granted: bool
) -> None:
    situation = Situation(
        admin, DrainPhase.REHOMING, hard="edge: nobody listens", granted=granted, must_announce=True
    )
    assert decide(announcing, situation) == (Announcement.NONE, "edge: nobody listens")


def test_a_soft_failure_alone_changes_nothing() -> None:
    assert decide(True, Situation(soft=SOFT)) == (Announcement.NORMAL, f"in spite of {SOFT}")
    assert decide(False, Situation(soft=SOFT))[0] is Announcement.NONE


def test_a_grant_withdraws_and_its_end_announces_again() -> None:
    assert decide(True, Situation(soft=SOFT, granted=True)) == (Announcement.NONE, f"by a grant: {SOFT}")
    assert decide(False, Situation(soft=SOFT, must_announce=True))[0] is Announcement.NORMAL


@pytest.mark.parametrize(("ready", "held"), list(itertools.product(BOOLEANS, BOOLEANS)))
def test_an_edge_begins_when_its_forwarder_and_nearly_all_others_are_ready(ready: bool, held: bool) -> None:
    situation = Situation(forwarder_ready=ready, held=held)
    assert (decide(False, situation)[0] is Announcement.NORMAL) == (ready and held)
    assert decide(True, situation)[0] is Announcement.NORMAL, "one that announces goes on"


def test_an_edge_that_is_cut_off_leaves_where_another_stands_in() -> None:
    assert decide(True, Situation(stand_in=3))[0] is Announcement.NONE
    assert decide(True, Situation(stand_in=None))[0] is Announcement.NORMAL


def test_a_drain_goes_through_its_phases_and_never_begins_to_announce() -> None:
    times = DrainTimes(rehoming=3, shutdown=2, deadline=60)
    shown = []
    for second in (0, 2.9, 3, 4.9, 5, 59, 60, 1000):
        situation = Situation(AdminState.DRAINING, times.phase(second, 3 if second >= 3 else None))
        shown.append(decide(True, situation)[0])
        assert decide(False, situation)[0] is Announcement.NONE
    normal, last, none = Announcement.NORMAL, Announcement.LAST_CHOICE, Announcement.NONE
    assert shown == [normal, normal, last, last, none, none, none, none]
    assert times.phase(59, 3) is DrainPhase.WITHDRAWN
    assert times.phase(60, 3) is DrainPhase.OVER


def test_a_disabled_edge_is_not_announced() -> None:
    assert decide(True, Situation(AdminState.DISABLED))[0] is Announcement.NONE


def test_a_soft_failure_counts_when_it_lasts_and_is_over_when_it_stays_away() -> None:
    lasting = Lasting()
    assert lasting.look((SOFT,), 0) is None
    assert lasting.look((), 1) is None
    assert lasting.look((SOFT,), 2) is None, "it began anew"
    assert lasting.look((SOFT,), 2 + LASTS_AFTER) == SOFT
    assert lasting.look((), 10) == SOFT
    assert lasting.look((SOFT,), 10 + OVER_AFTER) == SOFT, "it came back"
    assert lasting.look((), 20) == SOFT
    assert lasting.look((), 20 + OVER_AFTER) is None
