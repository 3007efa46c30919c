"""Figures of services: summed over edges and time, each report once, a day at most."""

from typing import Any

from balancer.api.figures import HANDSHAKE_REASONS, LATENCY_BOUNDS, NUMBERS, FiguresTotals, latency_quantile
from balancer.control.figures.edge_ring import EdgeRing
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
    assert table[2].split()[:5] == ["shop", "0.0", "-", "0.1", "28.6%"]
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


async def history(api: Any, query: str = "") -> dict[str, Any]:
    path = "edges" if query.startswith("edge=") else "history"
    answer = await api.ask("GET", f"/v1/figures/{path}?{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_services_edges_and_the_fleet_over_time_add_up_to_what_was_reported(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number, instance=INSTANCE)
    latency = [0, 0, 0, 1, 19, *[0] * 10]
    failed = shop(5, hits=3, statuses=[0, 0, 1, 0, 2, 2], origin_requests=20, origin_seconds=0.4)
    await report(api, 1, 1, shop=failed | {"origin_latency": latency}, blog=shop(7))
    api.clock.seconds += 60
    await report(api, 2, 1, shop=shop(11))
    api.clock.seconds += 60
    await report(api, 1, 2, shop=shop(100))  # in the step that has not ended

    [fleet] = (await history(api, "step=60"))["lines"]
    assert (fleet["service"], fleet["edge_id"], fleet["requests"][-2:]) == (None, None, [12, 11])
    services = (await history(api, "step=60&service=shop&service=blog&service=none"))["lines"]
    assert [line["requests"][-2:] for line in services] == [[5, 11], [7, 0], [0, 0]]
    of_shop = services[0]
    assert (of_shop["client_errors"][-2], of_shop["server_errors"][-2], of_shop["hits"][-2]) == (2, 2, 3)
    assert (of_shop["origin_seconds"][-2], of_shop["origin_p95"][-2:]) == (0.4, [0.025, None])
    shown = await history(api, "edge=1&edge=2&edge=3")
    assert [line["requests"][-2:] for line in shown["lines"]] == [[12, 0], [0, 11], [0, 0]]
    assert shown["steps"] == len(shown["lines"][0]["requests"]) == 59
    assert (shown["begin"], shown["step_seconds"]) == ("2025-12-31T23:03:00Z", 60)
    whole = await history(api, "step=600")
    assert sum(whole["lines"][0]["requests"]) == 0  # its first ten minutes have not ended
    assert whole["steps"] == 143


async def test_open_sessions_are_averages_and_failed_handshakes_have_their_reason(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number, instance=INSTANCE)
    failures = [0] * len(HANDSHAKE_REASONS)
    failures[HANDSHAKE_REASONS.index("timeout")] = 3
    failures[HANDSHAKE_REASONS.index("draining")] = 1
    await report(api, 1, 1, shop={"sessions": 2, "session_seconds": 90.0, "handshake_failures": failures})
    await report(
        api, 2, 1, shop={"sessions": 1, "session_seconds": 60.0}, none={"handshake_failures": failures}
    )
    api.clock.seconds += 60
    totals = FiguresTotals.model_validate((await api.ask("GET", "/v1/figures")).json())
    assert [each.service for each in totals.services] == ["shop"]
    shop_row, unnamed_row, meaning = totals_table(totals).splitlines()[1:]
    assert shop_row.split()[:4] == ["shop", "2.5", "4", "timeout"]
    assert unnamed_row.split()[:5] == ["(no", "service)", "0.0", "4", "timeout"]
    assert "host names that no service has" in meaning
    lines = (await history(api, "step=60&service=shop&service=none"))["lines"]
    assert [line["open_sessions"][-1] for line in lines] == [2.5, 0.0]
    assert [line["handshake_failures"][-1] for line in lines] == [4, 4]
    assert (await history(api, "step=60"))["lines"][0]["handshake_failures"][-1] == 8
    [point] = await points(api, 60)
    assert (point["sessions"], point["handshake_failures"]) == (3, failures)


async def test_a_history_names_at_most_fifty_and_edges_have_minutes(api: Any) -> None:
    many = "&".join(f"service=s{number}" for number in range(51))
    for wrong in (f"history?{many}", "history?step=61", "edges", "edges?edge=0", "edges?edge=1&step=10"):
        assert (await api.ask("GET", f"/v1/figures/{wrong}")).status_code == 422, wrong


def test_an_edges_ring_forgets_what_is_older_than_an_hour() -> None:
    ring, numbers = EdgeRing(), [1.0] * NUMBERS
    ring.add_numbers(0, numbers)
    for minute in (100, 101, 101, 130):
        ring.add_numbers(minute * 60 + 5, numbers)
    requests = [step[0] for step in ring.read_steps(131 * 60)]
    assert (len(requests), sum(requests), requests[-1], requests[-30]) == (59, 4, 1, 2)
    assert sum(step[0] for step in ring.read_steps(190 * 60)) == 0
    ring.add_numbers(129 * 60, numbers)  # the clock went back
    assert ring.read_steps(131 * 60)[-1][0] == 2


async def test_transitions_of_edges_are_listed_with_their_reasons(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    await api.pass_time(60)
    await api.pass_time(60)
    items = (await api.ask("GET", "/v1/transitions")).json()["items"]
    assert [(each["edge_id"], each["what"], each["detail"]) for each in items][:1] == [
        (1, "down", "lease lost")
    ]
    page = (await api.ask("GET", "/v1/transitions?limit=1")).json()
    assert [each["id"] for each in page["items"]] == [items[0]["id"]]
    assert page["next"] == (items[0]["id"] if len(items) > 1 else None)


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    assert latency_quantile([0] * 15, 0.5) is None
    assert latency_quantile([5, 4, 1, *[0] * 12], 0.5) == 0.001
    assert latency_quantile([5, 4, 1, *[0] * 12], 0.99) == 0.005
