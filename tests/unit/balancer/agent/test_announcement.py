"""Whether to announce: the whole decision, case by case."""

import itertools

import pytest

from balancer.agent.announcement import REHOMING, Situation, decide
from balancer.api.schemas import AdminState, Health

CASES = list(itertools.product([True, False], Health, [True, False], AdminState))


@pytest.mark.parametrize(("announcing", "health", "ready", "wanted"), CASES)
def test_the_vip_is_announced_only_by_a_live_edge_that_is_wanted(
    announcing: bool, health: Health, ready: bool, wanted: AdminState
) -> None:
    announce, _ = decide(announcing, Situation(health, ready, wanted, drained_for=REHOMING))
    if wanted is not AdminState.ACTIVE or health is Health.DOWN:
        assert not announce
    elif announcing:
        assert announce, "soft reasons do not withdraw"
    else:
        assert announce == (ready and health is Health.OK)


@pytest.mark.parametrize("health", Health)
def test_a_draining_edge_is_announced_until_its_sessions_have_left_the_service_port(health: Health) -> None:
    early = Situation(health, True, AdminState.DRAINING, drained_for=REHOMING / 2)
    assert decide(True, early)[0] == (health is not Health.DOWN)
    assert not decide(False, early)[0]
    assert not decide(True, Situation(health, True, AdminState.DISABLED, drained_for=REHOMING / 2))[0]
