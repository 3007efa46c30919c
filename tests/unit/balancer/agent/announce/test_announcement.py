"""Whether and how to announce: the whole decision, case by case."""

import itertools

import pytest

from balancer.agent.announce.announcement import Announcement, AnnouncementInputs, decide_announcement
from balancer.agent.announce.drain_times import DrainTimes
from balancer.agent.health.findings import CLEAR_SECONDS, CONFIRM_SECONDS, DebouncedFailure
from node.state.desired_state import AdminState, DrainPhase

BOOLEANS = (True, False)
SOFT = "origin: no answer"


@pytest.mark.parametrize(
    ("announcing", "admin", "granted"), list(itertools.product(BOOLEANS, AdminState, BOOLEANS))
)
def test_a_hard_failure_withdraws_whatever_else_is_so(
    announcing: bool, admin: AdminState, granted: bool
) -> None:
    situation = AnnouncementInputs(
        admin, DrainPhase.REHOMING, hard="edge: not listening", granted=granted, must_announce=True
    )
    assert decide_announcement(announcing, situation) == (Announcement.NONE, "edge: not listening")


def test_a_soft_failure_alone_changes_nothing() -> None:
    assert decide_announcement(True, AnnouncementInputs(soft=SOFT)) == (
        Announcement.NORMAL,
        f"in spite of {SOFT}",
    )
    assert decide_announcement(False, AnnouncementInputs(soft=SOFT))[0] is Announcement.NONE


def test_a_grant_withdraws_and_its_end_announces_again() -> None:
    assert decide_announcement(True, AnnouncementInputs(soft=SOFT, granted=True)) == (
        Announcement.NONE,
        f"by a grant: {SOFT}",
    )
    assert (
        decide_announcement(False, AnnouncementInputs(soft=SOFT, must_announce=True))[0]
        is Announcement.NORMAL
    )


@pytest.mark.parametrize(("ready", "held"), list(itertools.product(BOOLEANS, BOOLEANS)))
def test_an_edge_begins_when_its_forwarder_and_nearly_all_others_are_ready(ready: bool, held: bool) -> None:
    situation = AnnouncementInputs(forwarder_ready=ready, in_forwarders=held)
    assert (decide_announcement(False, situation)[0] is Announcement.NORMAL) == (ready and held)
    assert decide_announcement(True, situation)[0] is Announcement.NORMAL, "one that announces goes on"


def test_an_edge_that_is_cut_off_leaves_where_another_stands_in() -> None:
    assert decide_announcement(True, AnnouncementInputs(stand_in=3))[0] is Announcement.NONE
    assert decide_announcement(True, AnnouncementInputs(stand_in=None))[0] is Announcement.NORMAL


def test_a_drain_goes_through_its_phases_and_never_begins_to_announce() -> None:
    times = DrainTimes(rehoming=3, shutdown=2, deadline=60)
    shown = []
    for second in (0, 2.9, 3, 4.9, 5, 59, 60, 1000):
        situation = AnnouncementInputs(AdminState.DRAINING, times.phase(second, 3 if second >= 3 else None))
        shown.append(decide_announcement(True, situation)[0])
        assert decide_announcement(False, situation)[0] is Announcement.NONE
    normal, last, none = Announcement.NORMAL, Announcement.LAST_CHOICE, Announcement.NONE
    assert shown == [normal, normal, last, last, none, none, none, none]
    assert times.phase(59, 3) is DrainPhase.WITHDRAWN
    assert times.phase(60, 3) is DrainPhase.OVER


def test_a_disabled_edge_is_not_announced() -> None:
    assert decide_announcement(True, AnnouncementInputs(AdminState.DISABLED))[0] is Announcement.NONE


def test_a_soft_failure_counts_when_it_lasts_and_is_over_when_it_stays_away() -> None:
    failure = DebouncedFailure()
    assert failure.update((SOFT,), 0) is None
    assert failure.update((), 1) is None
    assert failure.update((SOFT,), 2) is None, "it began anew"
    assert failure.update((SOFT,), 2 + CONFIRM_SECONDS) == SOFT
    assert failure.update((), 10) == SOFT
    assert failure.update((SOFT,), 10 + CLEAR_SECONDS) == SOFT, "it came back"
    assert failure.update((), 20) == SOFT
    assert failure.update((), 20 + CLEAR_SECONDS) is None
