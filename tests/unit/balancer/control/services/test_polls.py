"""Long polls of edges take the fast path, which answers as the regular route does."""

import asyncio
from typing import Any

import fastapi.routing
import httpx
import pytest

POLLS = ["/v1/table", "/v1/published-services", "/v1/purges"]
QUERIES = [
    *(
        "",
        "wait=0",
        "wait=0.001",
        "since=1",
        "since=1&wait=0",
        "after=0",
        "after=1&limit=1&wait=0",
        "limit=1",
    ),
    *("wait=61", "wait=-1", "wait=", "wait", "wait=nan", "wait=1.2.3", "since=1.5", "since=1.0", "limit=0"),
    *(
        "after=99999999999999999999",
        "wait=0&wait=0.002",
        "wait=%30",
        "wait=+0",
        "WAIT=0",
        "unknown=1",
        "&",
        "wait=0&",
    ),
    *("since=00001", "since=.", "limit=01", "after=%00"),
]
TAGS = [None, '"{generation}"', 'W/"{generation}"', '"1"', "*", '"x"']


@pytest.fixture
async def fleet(api: Any, add_service: Any, activate: Any) -> Any:
    """A fleet with services and purges."""
    await api.enrol(1)
    await activate("shop", await add_service())
    for tag in "ab":
        assert (await api.ask("POST", "/v1/purges", {"tag": tag})).status_code == 201
    return api


async def poll(api: Any, url: str, token: str = "credential-1", **headers: str) -> httpx.Response:
    answer: httpx.Response = await api.ask("GET", url, token=token, headers=headers)
    return answer


def seen(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    return answer.status_code, dict(answer.headers), answer.content


@pytest.mark.parametrize("path", POLLS)
async def test_both_routes_give_the_same_answer(fleet: Any, path: str) -> None:
    generation = (await poll(fleet, path)).headers.get("etag", "").strip('"')
    for number, query in enumerate(QUERIES):
        for tag in TAGS if number < 5 else TAGS[:2]:
            headers = {"If-None-Match": tag.format(generation=generation)} if tag else {}
            fast = await poll(fleet, f"{path}?{query}", **headers)
            # a reason is for the regular route to check
            regular = await poll(fleet, f"{path}?{query}", **headers, **{"Sennit-Reason": "none"})
            assert seen(fast) == seen(regular), (query, tag)


@pytest.mark.parametrize("path", POLLS)
async def test_both_routes_refuse_the_same_callers(fleet: Any, path: str) -> None:
    for token in ("unknown", "", "credential-2", "Credential-1"):
        fast = await poll(fleet, path, token)
        assert fast.status_code == 401
        assert seen(fast) == seen(await poll(fleet, path, token, **{"Sennit-Reason": "none"}))
    assert (await fleet.ask("DELETE", "/v1/edges/1")).status_code == 204
    removed = await poll(fleet, path)
    assert (removed.status_code, removed.json()["type"]) == (410, "urn:sennit:problem:edge-removed")


async def test_a_poll_of_an_agent_takes_the_fast_path(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the regular route was taken")

    monkeypatch.setattr(fastapi.routing, "solve_dependencies", refuse)
    for query in ("table?wait=0&since=1", "published-services?wait=0&since=1", "purges?after=1&wait=0"):
        answer = await poll(fleet, f"/v1/{query}", **{"If-None-Match": '"7"'})
        assert answer.status_code == 200
    assert (await fleet.heartbeat(1)).status_code == 200
    with pytest.raises(AssertionError, match="regular route"):
        await poll(fleet, "/v1/table?wait=0&unknown=1")


async def test_all_that_wait_get_the_same_body_made_once(
    fleet: Any, add_service: Any, activate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, made = fleet.plane.services.live, []
    serialise = live._serialise

    def count(*arguments: Any) -> bytes:
        made.append(arguments)
        return bytes(serialise(*arguments))

    monkeypatch.setattr(live, "_serialise", count)
    url = f"/v1/published-services?wait=50&since={live.generation}"
    waiting = [
        asyncio.create_task(poll(fleet, url, **{"If-None-Match": f'"{live.generation}"'})) for _ in range(20)
    ]
    await asyncio.sleep(0.05)
    await activate("shop", await add_service(hostnames=["b.example"]))
    answers = await asyncio.gather(*waiting)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(made) == 1
