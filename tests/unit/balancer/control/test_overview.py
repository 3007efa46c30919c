"""What the fleet page shows of many edges and services: counts, filters, places, and those to look at first."""

import time
from typing import Any

DOCUMENT = {"hostnames": ["www.example.org"], "origins": [{"name": "eu", "url": "http://192.0.2.1"}]}


async def overview(api: Any, what: str, query: str = "") -> Any:
    api.clock.seconds += 2  # what was listed is kept for a second
    answer = await api.ask("GET", f"/v1/overview/{what}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(items: Any) -> list[int]:
    return [each["id"] for each in items]


async def test_edges_are_counted_and_those_not_well_come_first_where_not_all_are_listed(api: Any) -> None:
    for number in range(1, 7):
        await api.enrol(number)
        await api.heartbeat(number, health="degraded" if number == 5 else "ok", reasons=["x"] * (number == 5))
    await api.ask("PATCH", "/v1/edges/6", {"admin_state": "draining"})
    found = await overview(api, "edges")
    counts = {name: found[name] for name in ("edges", "up", "degraded", "draining", "down", "matching")}
    assert counts == {"edges": 6, "up": 5, "degraded": 1, "draining": 1, "down": 0, "matching": 6}
    assert ids(found["items"]) == ids(found["drawn"]) == [1, 2, 3, 4, 5, 6]
    assert found["items"] == (await api.ask("GET", "/v1/edges")).json()["items"]
    assert ids((await overview(api, "edges", "limit=3"))["items"]) == [5, 6, 1]
    assert ids((await overview(api, "edges", "limit=3&first=3"))["items"]) == [2, 3, 4]


async def test_a_filter_looks_at_names_sites_ids_and_states_and_named_edges_are_shown_in_any_case(
    api: Any,
) -> None:
    await api.enrol(1, site="berlin")
    await api.enrol(2, site="paris", name="other")
    for number in (1, 2):
        await api.heartbeat(number)
    for wanted, expected in (("berl", [1]), ("OTHER", [2]), ("edge1", [1]), ("up", [1, 2]), ("nowhere", [])):
        found = await overview(api, "edges", f"matching={wanted}")
        assert (ids(found["items"]), found["matching"], found["edges"]) == (expected, len(expected), 2)
    assert ids((await overview(api, "edges", "matching=nowhere&edge=2&edge=9"))["named"]) == [2]
    for wrong in ("edges?limit=201", "edges?edge=0", "services?limit=0", "services?first=1"):
        assert (await api.ask("GET", f"/v1/overview/{wrong}")).status_code == 422


async def test_an_edge_that_comes_goes_or_changes_is_seen(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    assert (await overview(api, "edges"))["up"] == 1
    await api.enrol(2)
    assert (await overview(api, "edges"))["edges"] == 2
    await api.pass_time(60)
    await api.pass_time(60)
    assert (await overview(api, "edges"))["down"] == 2
    await api.ask("DELETE", "/v1/edges/2")
    assert ids((await overview(api, "edges"))["items"]) == [1]


async def test_services_that_an_edge_refuses_come_first_then_the_busiest(api: Any) -> None:
    await api.enrol(1)
    for number, name in enumerate(("alpha", "beta", "gamma")):
        await api.ask("POST", "/v1/services", {"name": name})
        document = DOCUMENT | {"hostnames": [f"www.{name}.example"]}
        await api.ask("POST", f"/v1/services/{name}/revisions", document)
        answer = await api.ask("POST", f"/v1/services/{name}/activate", {"revision": 1})
        assert answer.status_code == 200, answer.text
        figures = {"requests": 10 * (number + 1), "statuses": [0, 0, 10 * (number + 1), 0, 0, 0]}
        await api.heartbeat(1, figures={"sequence": number + 1, "services": {name: figures}})
    api.clock.seconds += 60
    found = await overview(api, "services")
    names = [each["service"]["name"] for each in found["items"]]
    assert (found["services"], found["matching"], names) == (3, 3, ["gamma", "beta", "alpha"])
    assert [each["total"]["requests"] for each in found["items"]] == [30, 20, 10]
    assert [sum(each["requests"]) for each in found["items"]] == [30, 20, 10]
    refused = [{"name": "beta", "revision": 1, "reason": "does not suit"}]
    await api.heartbeat(1, services={"generation": 3, "refused": refused})
    items = (await overview(api, "services", "limit=2"))["items"]
    assert [each["service"]["name"] for each in items] == ["beta", "gamma"]
    by_host = await overview(api, "services", "matching=WWW.ALPHA")
    assert [each["service"]["name"] for each in by_host["items"]] == ["alpha"]
    assert (by_host["services"], by_host["matching"]) == (3, 1)
    assert (await overview(api, "services", "matching=%25"))["matching"] == 0


async def test_an_answer_has_the_same_size_for_a_large_fleet(api: Any) -> None:
    for number in range(1, 121):
        await api.enrol(number)
    began = time.monotonic()
    found = await overview(api, "edges")
    assert time.monotonic() - began < 5
    assert (found["edges"], len(found["items"]), len(found["drawn"])) == (120, 100, 24)
