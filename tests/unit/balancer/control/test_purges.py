"""Purges: named in every answer to a heartbeat, in order, by URL or by tag."""

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
