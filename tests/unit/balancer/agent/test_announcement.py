"""Whether to announce: the whole decision, case by case."""

import itertools

import pytest

from balancer.agent.announcement import Situation, decide
from balancer.api.schemas import AdminState, Health

CASES = list(itertools.product([True, False], Health, [True, False], AdminState))


@pytest.mark.parametrize(("announcing", "health", "ready", "wanted"), CASES)
def test_the_vip_is_announced_only_by_a_live_edge_that_is_wanted(
    announcing: bool, health: Health, ready: bool, wanted: AdminState
) -> None:
    announce, _ = decide(announcing, Situation(health, ready, wanted))
    if wanted is not AdminState.ACTIVE or health is Health.DOWN:
        assert not announce
    elif announcing:
        assert announce, "soft reasons do not withdraw"
    else:
        assert announce == (ready and health is Health.OK)
