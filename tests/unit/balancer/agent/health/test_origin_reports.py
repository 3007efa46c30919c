"""What an agent reports of origins: bounded, and nothing of what it does not understand."""

from typing import Any

import pytest

from balancer.agent.health.origin_reports import report_origins
from balancer.api.origins import SLOWEST_LIMIT, UNHEALTHY_LIMIT
from balancer.api.schemas import Health, LeaseRequest
from edge.origins.origin_state import OriginState
from edge.origins.published_health import combine_origins, describe_origins
from services.origins import Ejection


def edge_facts(unhealthy: int, healthy: int) -> Any:
    """What an edge publishes with so many services of one origin each."""
    states = [OriginState(Ejection(failures=1)) for _ in range(unhealthy + healthy)]
    for number, state in enumerate(states):
        state.record_latency(number / 1000, 99.0)
        if number < unhealthy:
            state.record_failure("x" * 1000, 90.0)
    origins = [(f"service{number}", "main", state) for number, state in enumerate(states)]
    return combine_origins([{"origins": describe_origins(origins, 100.0)}])["origins"]


def test_with_a_thousand_services_a_heartbeat_names_those_that_are_not_well_and_counts_all() -> None:
    report = report_origins(edge_facts(200, 800))
    assert report is not None
    assert (report.known, report.unhealthy) == (1000, 200)
    assert len(report.listed) == UNHEALTHY_LIMIT + SLOWEST_LIMIT
    unhealthy, slowest = report.listed[:UNHEALTHY_LIMIT], report.listed[UNHEALTHY_LIMIT:]
    assert {each.state for each in unhealthy} == {"ejected"}
    assert {each.seconds for each in unhealthy} == {10.0}
    assert [each.service for each in slowest] == [f"service{999 - rank}" for rank in range(SLOWEST_LIMIT)]
    assert len(LeaseRequest(health=Health.OK, origins=report).model_dump_json()) < 16_000


@pytest.mark.parametrize(
    "facts", [{}, {"known": 1}, {"listed": 3, "slowest": []}, {"listed": [{}], "slowest": [1]}]
)
def test_an_edge_without_origins_or_of_another_version_reports_none(facts: dict[str, Any]) -> None:
    assert report_origins(facts) is None
