"""Sites: edges make theirs by enrolling, an operator moves edges between them."""

from typing import Any


async def sites(api: Any) -> dict[str, Any]:
    return {each["name"]: each for each in (await api.ask("GET", "/v1/sites")).json()["items"]}


async def test_an_edge_makes_its_site_and_is_counted_there(api: Any) -> None:
    await api.enrol(1)
    await api.enrol(2)
    await api.heartbeat(1)
    shown = (await sites(api))["a"]
    assert (shown["edges"], shown["up"], shown["draining"], shown["down"]) == (2, 1, 0, 1)


async def test_an_edge_stays_where_the_operator_moved_it(api: Any) -> None:
    await api.enrol(1)
    answer = await api.ask("PATCH", "/v1/edges/1", {"site": "b", "reason": "moved racks"})
    assert answer.json()["site"] == "b"
    await api.enrol(1, "credential-1", site="a")
    assert (await api.ask("GET", "/v1/edges/1")).json()["site"] == "b"


async def test_a_site_with_edges_is_not_removed(api: Any) -> None:
    await api.enrol(1)
    assert (await api.ask("DELETE", "/v1/sites/a")).status_code == 409
    await api.ask("PATCH", "/v1/edges/1", {"site": "b"})
    assert (await api.ask("DELETE", "/v1/sites/a")).status_code == 204
    assert set(await sites(api)) == {"b"}


async def test_the_same_site_again_changes_nothing_and_another_of_its_name_is_refused(api: Any) -> None:
    body = {"name": "a", "description": "row 3"}
    statuses = [(await api.ask("POST", "/v1/sites", body)).status_code for _ in range(2)]
    assert statuses == [201, 200]
    assert (await api.ask("POST", "/v1/sites", body | {"description": "row 4"})).status_code == 409


async def test_a_patch_of_nothing_changes_nothing(api: Any) -> None:
    await api.enrol(1)
    before = await api.ask("GET", "/v1/edges/1")
    after = await api.ask("PATCH", "/v1/edges/1", {})
    assert (after.status_code, after.headers["etag"]) == (200, before.headers["etag"])
