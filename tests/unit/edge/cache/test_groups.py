"""Cache groups (RFC 9875): an unsafe request's answer invalidates what the origin has grouped, within its own host."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cdn import Cdn, cdn
from scripted_server import Asked, ScriptedServer, answer
from served_cache import served

from edge.cache.rules.groups import GROUP_LIMIT, GROUPS_LIMIT, group_tags, invalidated_tags

FRESH = ("cache-control", "max-age=600")


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Cdn]:
    async with cdn(tmp_path / "cache") as made:
        yield made


async def store(it: Cdn, path: str, groups: str, host: str = "cdn") -> None:
    it.origin.headers = [FRESH, ("cache-groups", groups)]
    await it.get(path, host=host)
    await it.settled()
    assert it.store.find(f"{host} {path}", {}) is not None


def is_stored(it: Cdn, path: str, host: str = "cdn") -> bool:
    return it.store.find(f"{host} {path}", {}) is not None


async def post(
    it: Cdn, *invalidated: str, method: str = "POST", status: int = 200, host: str = "cdn"
) -> None:
    it.origin.status = status
    it.origin.headers = [("cache-group-invalidation", value) for value in invalidated]
    await it.client.request(method, "/act", headers={"host": host})
    it.origin.status = 200


async def test_a_group_is_invalidated_together(it: Cdn) -> None:
    await store(it, "/1", '"a"')
    await store(it, "/2", '"b", "a"')
    await store(it, "/3", '"b"')
    await store(it, "/4", '"A"')
    await post(it, '"a"')
    assert [is_stored(it, f"/{n}") for n in (1, 2, 3, 4)] == [False, False, True, True]


async def test_several_groups_and_lines_count(it: Cdn) -> None:
    for n, group in enumerate("abcd"):
        await store(it, f"/{n}", f'"{group}";x=1')
    await post(it, '"a", "c"', '"d"')
    assert [is_stored(it, f"/{n}") for n in range(4)] == [False, True, False, False]


@pytest.mark.parametrize("status", [200, 303, 404, 500])
async def test_the_origin_is_believed_whatever_the_status(it: Cdn, status: int) -> None:
    await store(it, "/1", '"a"')
    await post(it, '"a"', status=status)
    assert not is_stored(it, "/1")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_safe_method_invalidates_no_group(it: Cdn, method: str) -> None:
    await store(it, "/1", '"a"')
    await post(it, '"a"', method=method)
    assert is_stored(it, "/1")


async def test_a_group_is_of_its_host(it: Cdn) -> None:
    await store(it, "/1", '"a"')
    await store(it, "/1", '"a"', host="other")
    await store(it, "/1", '"a"', host="cdn:81")
    await post(it, '"a"', host="other")
    assert [is_stored(it, "/1", host) for host in ("cdn", "other", "cdn:81")] == [True, False, True]


def test_a_group_is_of_its_service() -> None:
    fields = {"cache-groups": '"a"', "cache-group-invalidation": '"a"'}
    assert group_tags("one|cdn /1", fields) == invalidated_tags("one|cdn /2?x", fields)
    assert group_tags("one|cdn /1", fields) != invalidated_tags("two|cdn /1", fields)


@pytest.mark.parametrize("value", ["a", '"a", b', '"a" "b"', "", '"a"x', "(", '("a")'])
async def test_an_invalid_field_names_no_group(it: Cdn, value: str) -> None:
    await store(it, "/1", '"a"')
    await store(it, "/2", value)
    await post(it, value)
    assert is_stored(it, "/1")
    await post(it, '"a"')
    assert [is_stored(it, "/1"), is_stored(it, "/2")] == [False, True]


def test_groups_are_limited_in_number_and_length() -> None:
    many = ", ".join(f'"{n}"' for n in range(GROUPS_LIMIT + 10))
    assert len(group_tags("cdn /", {"cache-groups": many})) == GROUPS_LIMIT
    assert group_tags("cdn /", {"cache-groups": '"' + "a" * (GROUP_LIMIT + 1) + '"'}) == []
    assert len(group_tags("cdn /", {"cache-groups": '"' + "a" * GROUP_LIMIT + '"'})) == 1


async def test_a_tag_is_no_group_and_a_group_no_tag(it: Cdn) -> None:
    it.origin.headers = [FRESH, ("cache-tag", "a"), ("surrogate-key", "a")]
    await it.get("/1")
    await it.settled()
    await post(it, '"a"')
    assert is_stored(it, "/1")


async def test_a_304_changes_the_groups(it: Cdn) -> None:
    it.origin.headers = [("cache-control", "max-age=60"), ("etag", '"1"'), ("cache-groups", '"a"')]
    await it.get("/1")
    await it.settled()
    it.clock.now += 70
    it.origin.headers = [FRESH, ("etag", '"1"'), ("cache-groups", '"b"')]
    assert (await it.get("/1")).status_code == 200
    await it.settled()
    await post(it, '"a"')
    assert is_stored(it, "/1")
    await post(it, '"b"')
    assert not is_stored(it, "/1")


async def test_a_running_fetch_of_the_host_is_not_stored(it: Cdn) -> None:
    gates = {"cdn": asyncio.Event(), "other": asyncio.Event()}

    async def respond(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, headers=[("cache-group-invalidation", '"a"')])
        await gates[request.headers["host"]].wait()
        return httpx.Response(200, headers=[FRESH, ("cache-groups", '"a"'), ("content-length", "0")])

    it.origin.handle_async_request = respond  # type: ignore[method-assign]
    waiting = [asyncio.create_task(it.get("/1", host=host)) for host in gates]
    while len(it.proxy.fetches._running) < 2:
        await asyncio.sleep(0)
    await it.client.post("/act", headers={"host": "cdn"})
    for gate in gates.values():
        gate.set()
    await asyncio.gather(*waiting)
    await it.settled()
    assert [is_stored(it, "/1", host) for host in gates] == [False, True]


async def test_all_workers_have_invalidated_before_the_client_is_answered(tmp_path: Path) -> None:
    def script(asked: Asked) -> list[bytes]:
        if asked.method == "POST":
            return [answer(b"", 'cache-group-invalidation: "a"')]
        return [answer(b"body", "cache-control: max-age=600", 'cache-groups: "a"')]

    origin = ScriptedServer(script)
    async with served(tmp_path, origin, workers=2) as workers:
        for turn in range(10):
            for worker in workers:
                assert (await worker.get("/1")).content == b"body"
            before = len(origin.asked)
            await workers[turn % 2].client.post("/act")
            given = await workers[(turn + 1) % 2].get("/1")
            assert "hit" not in given.headers["cache-status"]
            assert len(origin.asked) == before + 2
            assert given.headers["cache-groups"] == '"a"', "a client's cache may use it, too"
