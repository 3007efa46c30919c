"""Purges: in order, by any scope, pushed to edges that wait, and counted where they are applied."""

import asyncio
import time
from typing import Any

import pytest


async def test_a_heartbeat_tells_of_the_newest_purge_and_an_edge_reads_what_it_lacks(api: Any) -> None:
    await api.enrol(1)
    assert (await api.heartbeat(1)).json()["newest_purge"] == 0
    for body in ({"url": "https://cdn.example/a"}, {"tag": "sale", "reason": "over"}):
        assert (await api.ask("POST", "/v1/purges", body)).status_code == 201
    assert (await api.heartbeat(1)).json()["newest_purge"] == 2
    page = (await api.ask("GET", "/v1/purges?after=1", token="credential-1")).json()
    assert [(each["id"], each["url"], each["tag"]) for each in page["items"]] == [(2, None, "sale")]
    newest = (await api.ask("GET", "/v1/audit")).json()["items"][0]
    assert (newest["what"], newest["target"], newest["why"]) == ("purge", "tag sale", "over")


async def test_the_newest_purge_is_known_after_a_restart(restartable: Any, vip: Any) -> None:
    async with restartable() as api:
        await api.ask("POST", "/v1/vips", vip)
        await api.enrol(1)
        await api.ask("POST", "/v1/purges", {"tag": "x"})
    async with restartable() as api:
        assert (await api.heartbeat(1)).json()["newest_purge"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "https://a/", "tag": "x"}, "url"),
        ({"url": "ftp://a/"}, "url"),
        ({"url": "https://a/\n"}, "url"),
        ({"url": "https:///a"}, "url"),
        ({"url": "https://user@a/"}, "url"),
        ({"url": "/a"}, "url"),
        ({"prefix": "https://a/b?c"}, "prefix"),
        ({"host": "https://a"}, "host"),
        ({"host": "a:8443"}, "host"),
        ({"host": "*.a"}, "host"),
        ({"service": "A"}, "service"),
        ({"everything": False}, "url"),
        ({"everything": True, "tag": "x"}, "url"),
        ({"tag": "two words"}, "tag"),
        ({"tag": ""}, "tag"),
    ],
)
async def test_a_purge_that_makes_no_sense_is_refused(api: Any, body: Any, field: str) -> None:
    answer = await api.ask("POST", "/v1/purges", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_an_edge_may_not_purge(api: Any) -> None:
    await api.enrol(1)
    assert (await api.ask("POST", "/v1/purges", {"tag": "x"}, token="credential-1")).status_code == 403


async def test_a_url_may_be_as_long_as_a_target_and_of_any_scheme_that_edges_serve(api: Any) -> None:
    for scheme in ("http", "https", "smkex"):
        made = await api.ask("POST", "/v1/purges", {"url": f"{scheme}://cdn.example/" + "a" * 8191})
        assert made.status_code == 201
    refused = await api.ask("POST", "/v1/purges", {"url": "https://cdn.example/" + "a" * 8500})
    assert refused.status_code == 422


@pytest.mark.parametrize(
    ("spelled", "stored"),
    [
        ("HTTPS://CDN.Example.:443/a/./b/../%7Ec#top", "https://cdn.example/a/~c"),
        ("https://cdn.example", "https://cdn.example/"),
        ("https://bücher.example/ä b", "https://xn--bcher-kva.example/%C3%A4%20b"),
        ("https://[2001:DB8:0::1]:8443/%3a?q=%c3", "https://[2001:db8::1]:8443/%3A?q=%C3"),
    ],
)
async def test_a_url_that_is_spelled_otherwise_is_the_one_that_edges_store(
    api: Any, spelled: str, stored: str
) -> None:
    answer = await api.ask("POST", "/v1/purges", {"url": spelled})
    assert (answer.status_code, answer.json()["url"]) == (201, stored)


async def test_every_scope_reaches_the_edges_as_it_was_asked_for(api: Any) -> None:
    await api.enrol(1)
    asked: list[dict[str, Any]] = [
        {"prefix": "https://cdn.example/img/"},
        {"host": "CDN.example", "soft": True},
        {"service": "shop"},
        {"everything": True},
    ]
    for body in asked:
        assert (await api.ask("POST", "/v1/purges", body)).status_code == 201
    items = (await api.ask("GET", "/v1/purges", token="credential-1")).json()["items"]
    assert [each["prefix"] for each in items] == ["https://cdn.example/img/", None, None, None]
    assert (items[1]["host"], items[1]["soft"], items[0]["soft"]) == ("cdn.example", True, False)
    assert (items[2]["service"], items[3]["everything"]) == ("shop", True)
    targets = [each["target"] for each in (await api.ask("GET", "/v1/audit")).json()["items"][:4]]
    assert targets == [
        "everything",
        "service shop",
        "host cdn.example, soft",
        "prefix https://cdn.example/img/",
    ]


async def test_an_edge_that_waits_gets_the_next_purge_at_once(api: Any) -> None:
    await api.enrol(1)
    waiting = [
        asyncio.create_task(api.ask("GET", "/v1/purges?after=0&wait=30", token="credential-1"))
        for _ in range(5)
    ]
    await asyncio.sleep(0)
    await api.ask("POST", "/v1/purges", {"tag": "x"})
    pages = [each.json() for each in await asyncio.wait_for(asyncio.gather(*waiting), 10)]
    assert [[each["tag"] for each in page["items"]] for page in pages] == [["x"]] * 5
    began = time.monotonic()
    assert (await api.ask("GET", "/v1/purges?after=1&wait=0.05")).json()["items"] == []
    assert time.monotonic() - began >= 0.05


async def test_progress_counts_live_edges_that_have_a_cache(api: Any) -> None:
    for number in (1, 2, 3):
        await api.enrol(number)
    await api.ask("POST", "/v1/purges", {"tag": "x"})
    await api.heartbeat(1, applied_purge=0)
    await api.heartbeat(2, applied_purge=1)
    await api.heartbeat(3)  # without a cache
    path = "/v1/purges/1/progress"
    assert (await api.ask("GET", path)).json() == {"id": 1, "edges": 2, "done": 1, "waiting": [1]}
    waiting = asyncio.create_task(api.ask("GET", f"{path}?wait=30"))
    await asyncio.sleep(0)
    await api.heartbeat(1, applied_purge=1)
    answer = (await asyncio.wait_for(waiting, 10)).json()
    assert (answer["done"], answer["waiting"]) == (2, [])
    await api.ask("POST", "/v1/purges", {"tag": "y"})
    late = (await api.ask("GET", "/v1/purges/2/progress?wait=0.05")).json()
    assert (late["done"], late["waiting"]) == (0, [1, 2])
    await api.pass_time(11)  # their leases end
    assert (await api.ask("GET", "/v1/purges/2/progress")).json()["edges"] == 0
    assert (await api.ask("GET", "/v1/purges/3/progress")).status_code == 404


async def test_an_edge_that_was_away_too_long_learns_that_it_missed_purges(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("watch", "endpoints"):
        monkeypatch.setattr(f"balancer.control.purges.{module}.PURGES_KEPT", 3)
    for number in range(5):
        await api.ask("POST", "/v1/purges", {"tag": f"t{number}"})
    pages = [(await api.ask("GET", f"/v1/purges?after={after}")).json() for after in (0, 1, 2, 4)]
    assert [page["missed"] for page in pages] == [True, True, False, False]
    assert [each["id"] for each in pages[0]["items"]] == [3, 4, 5]
