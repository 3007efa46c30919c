"""Optimistic concurrency: an ETag names what was read, and If-Match refuses to change anything else."""

import asyncio
from typing import Any

import pytest


async def test_a_change_with_the_etag_of_what_was_read_is_made(api: Any) -> None:
    await api.enrol(1)
    read = await api.ask("GET", "/v1/edges/1")
    changed = await api.ask(
        "PATCH", "/v1/edges/1", {"admin_state": "draining"}, headers={"If-Match": read.headers["etag"]}
    )
    assert changed.status_code == 200
    assert changed.headers["etag"] not in ("", read.headers["etag"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/edges/1", {"admin_state": "draining"}),
        ("DELETE", "/v1/edges/1", None),
        ("DELETE", "/v1/vips/spare", None),
        ("PATCH", "/v1/sites/spare", {"description": "new"}),
        ("DELETE", "/v1/sites/spare", None),
    ],
)
async def test_a_change_with_another_etag_is_refused_and_nothing_changes(
    api: Any, method: str, path: str, body: Any
) -> None:
    await api.enrol(1)
    await api.ask("POST", "/v1/vips", {"name": "spare", "v4": "203.0.113.9"})
    await api.ask("POST", "/v1/sites", {"name": "spare"})
    before = await api.ask("GET", path)
    answer = await api.ask(method, path, body, headers={"If-Match": '"0"'})
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:sennit:problem:changed-meanwhile")
    after = await api.ask("GET", path)
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])
    exact = {"If-Match": f'"0", {before.headers["etag"]}'}
    assert (await api.ask(method, path, body, headers=exact)).status_code < 300


async def test_of_two_who_read_the_same_one_wins(api: Any) -> None:
    await api.enrol(1)
    etag = (await api.ask("GET", "/v1/edges/1")).headers["etag"]
    answers = await asyncio.gather(
        *(
            api.ask("PATCH", "/v1/edges/1", {"admin_state": wanted}, headers={"If-Match": etag})
            for wanted in ("draining", "disabled")
        )
    )
    assert sorted(each.status_code for each in answers) == [200, 412]


async def test_a_heartbeat_that_changes_nothing_leaves_the_etag(api: Any) -> None:
    await api.enrol(1)
    await api.heartbeat(1)
    before = (await api.ask("GET", "/v1/edges/1")).headers["etag"]
    await api.heartbeat(1)
    assert (await api.ask("GET", "/v1/edges/1")).headers["etag"] == before


@pytest.mark.parametrize("what", ["edges", "vips", "sites", "tokens", "enrolment-tokens"])
async def test_every_listing_comes_in_pages(api: Any, what: str) -> None:
    for number in range(1, 6):
        await api.ask("POST", "/v1/vips", {"name": f"vip{number}", "v4": f"203.0.113.{number + 1}"})
        await api.enrol(number, site=f"site{number}", vip="main")
        await api.ask("POST", "/v1/tokens", {"name": f"person{number}", "role": "read"})
    whole = (await api.ask("GET", f"/v1/{what}")).json()["items"]
    assert len(whole) >= 5
    seen: list[Any] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await api.ask("GET", f"/v1/{what}", params=query)).json()
        assert len(page["items"]) <= 2
        seen += page["items"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert seen == whole
