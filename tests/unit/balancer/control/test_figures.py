"""Figures of services: summed over edges and time, each report once, a day at most."""

from typing import Any

from balancer.api.figures import LATENCY_BOUNDS, FiguresTotals, latency_quantile
from balancer.control.figures.rings import RINGS
from sennit.figure_texts import totals_table

INSTANCE = "0123456789abcdef-0123456789abcdef"


def shop(requests: int, **more: Any) -> dict[str, Any]:
    return {"requests": requests, "statuses": [0, 0, requests, 0, 0, 0], **more}


async def report(api: Any, edge: int, sequence: int, **services: Any) -> None:
    body = {"sequence": sequence, "services": services}
    answer = await api.heartbeat(edge, instance=INSTANCE, figures=body)
    assert answer.status_code == 200, answer.text


async def points(api: Any, step: int) -> list[dict[str, Any]]:
    answer = await api.ask("GET", f"/v1/services/shop/figures?step={step}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["points"]
    return found


async def test_reports_of_all_edges_add_up_and_a_repeated_one_counts_once(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number, instance=INSTANCE)
    assert (await api.ask("GET", "/v1/services/shop/figures")).status_code == 404
    latency = [0] * len(LATENCY_BOUNDS) + [1]
    await report(api, 1, 1, shop=shop(3, hits=2, origin_requests=1, origin_latency=latency))
    await report(api, 1, 1, shop=shop(3, hits=2, origin_requests=1, origin_latency=latency))
    await report(api, 2, 1, shop=shop(4), blog=shop(9))
    [point] = await points(api, 10)
    assert (point["requests"], point["hits"], point["origin_requests"]) == (7, 2, 1)
    assert (point["statuses"], point["origin_latency"]) == ([0, 0, 7, 0, 0, 0], latency)
    api.clock.seconds += 10  # the step ends
    totals = (await api.ask("GET", "/v1/figures")).json()
    assert [(each["service"], each["requests"]) for each in totals["services"]] == [("blog", 9), ("shop", 7)]
    table = totals_table(FiguresTotals.model_validate(totals)).splitlines()
    assert table[2].split()[:3] == ["shop", "0.1", "28.6%"]
    assert table[2].split()[-2:] == [">30", "s"]


async def test_steps_follow_one_another_and_old_ones_go(api: Any) -> None:
    await api.enrol(1, instance=INSTANCE)
    for sequence in range(1, 8):
        await report(api, 1, sequence, shop=shop(sequence))
        api.clock.seconds += 5
    assert sum(point["requests"] for point in await points(api, 10)) == 28
    assert len(await points(api, 10)) == 4
    assert [point["requests"] for point in await points(api, 600)] == [28]
    api.clock.seconds += RINGS[0].seconds * RINGS[0].steps
    api.clock.seconds += 10
    assert await points(api, 10) == []
    assert [point["requests"] for point in await points(api, 60)] == [28]
    assert (await api.ask("GET", "/v1/figures?seconds=60")).json()["services"] == []
    assert [
        each["requests"] for each in (await api.ask("GET", "/v1/figures?seconds=3600")).json()["services"]
    ] == [28]
    assert (await api.ask("GET", "/v1/services/shop/figures?step=7")).status_code == 422


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    assert latency_quantile([0] * 15, 0.5) is None
    assert latency_quantile([5, 4, 1, *[0] * 12], 0.5) == 0.001
    assert latency_quantile([5, 4, 1, *[0] * 12], 0.99) == 0.005
