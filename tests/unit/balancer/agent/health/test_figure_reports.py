"""Reports of figures: over lost answers and restarts of the edge, each request is in exactly one that was answered."""

import random
from typing import Any

from balancer.agent.health.figure_reports import FigureReporter
from balancer.api.figures import LATENCY_BOUNDS, SERVICES_LIMIT, FiguresReport


def counts(requests: int) -> dict[str, Any]:
    return {
        "requests": requests,
        "hits": requests // 2,
        "bytes_in": 0,
        "bytes_out": requests * 100,
        "statuses": [0, 0, requests, 0, 0, 0],
        "origin_requests": requests - requests // 2,
        "origin_failures": 0,
        "origin_seconds": requests / 8,
        "origin_latency": [0] * len(LATENCY_BOUNDS) + [requests],
        "of-a-later-version": {"x": 1},
    }


def requests_of(report: FiguresReport | None) -> dict[str, int]:
    return {name: figures.requests for name, figures in report.services.items()} if report else {}


def test_a_report_is_repeated_until_it_is_answered_and_what_came_meanwhile_follows() -> None:
    reporter = FigureReporter()
    assert reporter.next_report({"shop": counts(100)}) is None  # from before this agent's start
    first = reporter.next_report({"shop": counts(103)})
    assert requests_of(first) == {"shop": 3}
    assert reporter.next_report({"shop": counts(110), "new": counts(4)}) is first
    reporter.acknowledge(first)
    second = reporter.next_report({"shop": counts(110), "new": counts(4)})
    assert second is not None
    assert requests_of(second) == {"shop": 7, "new": 4}
    assert second.sequence == 2
    reporter.acknowledge(first)  # late, and of another one
    assert reporter.next_report({}) is second


def test_counts_that_go_back_are_those_of_a_new_edge() -> None:
    reporter = FigureReporter()
    reporter.next_report({"shop": counts(100)})
    assert requests_of(reporter.next_report({"shop": counts(5)})) == {"shop": 5}


def test_many_services_take_several_heartbeats() -> None:
    reporter = FigureReporter()
    names = [f"s{number}" for number in range(SERVICES_LIMIT + 10)]
    reporter.next_report({"s0": counts(0)})
    figures = {name: counts(number + 1) for number, name in enumerate(names)}
    found: dict[str, int] = {}
    for _ in range(2):
        report = reporter.next_report(figures)
        found |= requests_of(report)
        reporter.acknowledge(report)
    assert found == {name: number + 1 for number, name in enumerate(names)}
    assert reporter.next_report(figures) is None


def test_what_another_version_counts_is_left_out() -> None:
    reporter = FigureReporter()
    reporter.next_report({"shop": counts(1)})
    assert requests_of(reporter.next_report({"shop": counts(2), "odd": {"statuses": [1]}, "worse": 3})) == {
        "shop": 1
    }


def test_over_any_losses_the_sum_of_answered_reports_is_what_the_edge_counted() -> None:
    choice = random.Random(1)
    reporter, received = FigureReporter(), dict[int, int]()
    total = running = 0
    reporter.next_report({"shop": counts(0)})
    for _ in range(500):
        grown = choice.randrange(4)
        total, running = total + grown, running + grown
        report = reporter.next_report({"shop": counts(running)})
        if report is not None and choice.random() < 0.7:  # it arrives
            received[report.sequence] = report.services["shop"].requests
            if choice.random() < 0.7:  # and so does the answer
                reporter.acknowledge(report)
    while (report := reporter.next_report({"shop": counts(running)})) is not None:
        received[report.sequence] = report.services["shop"].requests
        reporter.acknowledge(report)
    assert sum(received.values()) == total


def test_a_service_with_idle_sessions_alone_is_not_left_out_for_busy_ones() -> None:
    reporter, heard = FigureReporter(), False
    reporter.next_report({"s0": counts(0)})
    for turn in range(1, 40):
        figures = {f"s{number}": counts(turn * 20) for number in range(SERVICES_LIMIT)}
        report = reporter.next_report(figures | {"idle": counts(0) | {"session_seconds": turn * 3.3}})
        heard = heard or (report is not None and "idle" in report.services)
        reporter.acknowledge(report)
    assert heard
