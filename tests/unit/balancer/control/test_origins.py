"""Origins as edges report them: not healthy first, then the slowest, and nothing of an edge that is silent."""

from typing import Any

from balancer.api.origins import OriginsView
from sennit.origin_texts import origins_table, unhealthy_lines


def origin(service: str, name: str, state: str = "healthy", **more: Any) -> dict[str, Any]:
    return {"service": service, "origin": name, "state": state, **more}


async def report(api: Any, edge: int, *listed: dict[str, Any]) -> None:
    body = {"known": 3, "unhealthy": 0, "listed": list(listed)}
    answer = await api.heartbeat(edge, origins=body)
    assert answer.status_code == 200, answer.text


async def test_the_fleet_sees_which_origin_is_not_healthy_where_since_when_and_why(api: Any) -> None:
    for number in (1, 2):
        await api.enrol(number)
    api.clock.seconds = 60
    ejected = origin("shop", "eu", "ejected", cause="status 503", seconds=20, latency=0.004)
    await report(api, 1, ejected, origin("blog", "main", latency=2.5))
    await report(api, 2, origin("shop", "eu", latency=0.2), origin("shop", "us", latency=0.1))
    shown = (await api.ask("GET", "/v1/origins")).json()
    assert (shown["edges"], shown["unhealthy"]) == (2, 1)
    first, *others = shown["items"]
    assert (first["service"], first["origin"], first["unhealthy_edges"]) == ("shop", "eu", 1)
    assert [(each["edge_id"], each["state"]) for each in first["edges"]] == [(1, "ejected"), (2, "healthy")]
    assert (first["edges"][0]["cause"], first["edges"][0]["since"]) == ("status 503", "2026-01-01T00:00:40Z")
    assert [(each["service"], each["latency"]) for each in others] == [("blog", 2.5), ("shop", 0.1)]
    of_blog = (await api.ask("GET", "/v1/origins?service=blog")).json()
    assert [each["origin"] for each in of_blog["items"]] == ["main"]

    view = OriginsView.model_validate(shown)
    assert list(unhealthy_lines(view.items)) == [
        "origin eu of shop is ejected at edge 1 since 2026-01-01 00:00:40: status 503"
    ]
    rows = [line.split() for line in origins_table(view).splitlines()]
    assert rows[1] == ["shop", "eu", "1", "ejected", "2026-01-01", "00:00:40", "4", "ms", "status", "503"]
    assert rows[3] == ["blog", "main", "1", "healthy", "-", "2.5", "s", "-"]


async def test_a_newer_report_replaces_the_one_before_and_a_silent_edge_has_none(api: Any) -> None:
    await api.enrol(1)
    await report(api, 1, origin("shop", "eu", "ill", cause="check: status 500"))
    await report(api, 1, origin("shop", "us"))
    [only] = (await api.ask("GET", "/v1/origins")).json()["items"]
    assert only["origin"] == "us"
    await api.pass_time(60)
    assert (await api.ask("GET", "/v1/origins")).json() == {"edges": 0, "unhealthy": 0, "items": []}


async def test_a_report_without_bounds_is_refused(api: Any) -> None:
    await api.enrol(1)
    for wrong in (
        {"listed": [origin("shop", "eu")] * 41},
        {"listed": [origin("shop", "eu", "down")]},
        {"listed": [origin("s" * 64, "eu")]},
        {"listed": [origin("shop", "eu", seconds=-1)]},
    ):
        answer = await api.heartbeat(1, origins=wrong)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].startswith("origins")
