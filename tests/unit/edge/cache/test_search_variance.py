"""No-Vary-Search: URLs that differ in what does not count have one stored response, for all that is done with it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cdn import Cdn, cdn
from hypothesis import given
from hypothesis import strategies as st
from loopback import until
from scripted_server import Asked, ScriptedServer, answer
from served_cache import served

from edge.cache.rules.search_variance import (
    NAME_LIMIT,
    NAMES_LIMIT,
    PARAMETERS_LIMIT,
    SearchVariance,
    variance_of_tag,
)
from edge.cache.storage.purge_scope import PurgeScope

FRESH = ("cache-control", "max-age=600")
ORDER, UTM, ONLY_ID, NONE = "key-order", 'params=("utm" "ref")', 'params, except=("id")', "params"


@pytest.mark.parametrize(
    ("value", "one", "other", "same"),
    [
        (UTM, "/a?utm=1", "/a", True),
        (UTM, "/a?utm=1&x=1", "/a?x=1&ref&utm=2", True),
        (UTM, "/a?x=1", "/a?x=2", False),
        (UTM, "/a?x=1&y=2", "/a?y=2&x=1", False),
        (UTM, "/a?ut%6D=1", "/a?", True),
        (UTM, "/a?UTM=1", "/a", False),
        (UTM, "/a?x=%61+b", "/a?x=a%20b", True),
        (UTM, "/a?x", "/a?x=", True),
        (UTM, "/a?x=1", "/b?x=1", False),
        (UTM, "/a?x=%26y", "/a?x=&y", False),
        (ORDER, "/a?x=1&y=2", "/a?y=2&x=1", True),
        (ORDER, "/a?x=1&x=2", "/a?x=2&x=1", False),
        (ORDER, "/a?x=1&y=3&x=2", "/a?y=3&x=1&x=2", True),
        (ORDER, "/a?x=1", "/a?x=1&y", False),
        (f"{ORDER}, {UTM}", "/a?x=1&y=2&utm", "/a?y=2&x=1", True),
        (ONLY_ID, "/a?id=1&x=2", "/a?y&id=1", True),
        (ONLY_ID, "/a?id=1", "/a?id=2", False),
        (ONLY_ID, "/a?id=1", "/a", False),
        (NONE, "/a?x=1", "/a?y=2", True),
        ("params=?1", "/a?x=1", "/a", True),
        ('params=("caf%C3%A9" "a+b")', "/a?caf%c3%a9=1&a%20b=2", "/a", True),
        (f"{UTM}, unknown=1", "/a?utm=1", "/a", True),
    ],
)
def test_what_does_not_count(value: str, one: str, other: str, same: bool) -> None:
    variance = SearchVariance.parse(value)
    assert variance is not None
    keys = [variance.canonical_key(f"cdn {target}") for target in (one, other)]
    assert (keys[0] == keys[1]) is same
    assert [variance.canonical_key(key) for key in keys] == keys


@pytest.mark.parametrize(
    "value",
    [
        None, "", "params=?0", "key-order=?0", "params=()", "params=1", "key-order=1", 'params="x"', "params=(x)",
        'params=("x" 1)',
        'except=("x")', 'params=?0, except=("x")', 'params=("x"), except=("y")', 'params, except="x"', "params, except",
        "params, except=(x)", "params=(", "PARAMS", 'params, params=("x"', f'params=("{"x" * (NAME_LIMIT + 1)}")',
        "params=(" + " ".join(f'"{n}"' for n in range(NAMES_LIMIT + 1)) + ")",
    ],
)  # fmt: skip
def test_what_is_invalid_or_says_nothing_leaves_the_whole_query(value: str | None) -> None:
    assert SearchVariance.parse(value) is None


def test_a_query_with_too_many_parameters_is_equivalent_to_no_other() -> None:
    key = "cdn /a?" + "&".join(["utm"] * (PARAMETERS_LIMIT + 1))
    variance = SearchVariance.parse(UTM)
    assert variance is not None
    assert variance.canonical_key(key) == key


def test_the_rest_of_a_key_stays() -> None:
    variance = SearchVariance.parse(UTM)
    assert variance is not None
    assert variance.canonical_key("one|cdn /a?utm=1&x=2 0123") == "one|cdn /a?x=2 0123"


NAMES = st.sampled_from(["a", "b", "%41", "c d"])


@given(st.lists(NAMES, max_size=3), st.booleans(), st.booleans(), st.lists(NAMES, max_size=5))
def test_the_tag_says_what_the_field_does(
    names: list[str], only: bool, order: bool, query: list[str]
) -> None:
    listed = "(" + " ".join(f'"{name}"' for name in names) + ")"
    value = (f"params, except={listed}" if only else f"params={listed}") + (", key-order" if order else "")
    variance = SearchVariance.parse(value)
    if variance is not None:
        key = "cdn /a?" + "&".join(name.replace(" ", "+") for name in query)
        assert variance_of_tag(variance.tag(key)) == variance
        canonical = variance.canonical_key(key)
        assert variance.canonical_key(canonical) == canonical


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Cdn]:
    async with cdn(tmp_path / "cache") as made:
        made.origin.headers = [FRESH, ("no-vary-search", UTM)]
        yield made


async def ask(it: Cdn, path: str, **fields: str) -> bool:
    """Ask, and return whether the answer came from the store."""
    given = await it.get(path, **fields)
    await it.settled()
    assert given.content == it.origin.body
    return "hit" in given.headers["cache-status"]


async def test_equivalent_urls_have_one_response(it: Cdn) -> None:
    assert not await ask(it, "/a?x=1&utm=1")
    for path in ("/a?x=1&utm=2", "/a?x=1", "/a?ref&x=1", "/a?x=1&utm=1"):
        assert await ask(it, path), path
    for path in ("/a", "/a?x=2", "/b?x=1", "/a?X=1"):
        assert not await ask(it, path), path


async def test_the_origin_is_asked_for_the_url_that_the_client_asked_for(it: Cdn) -> None:
    await ask(it, "/a?x=1&utm=1")
    it.clock.now += 700
    await ask(it, "/a?x=1&utm=2")
    assert [one.url.query for one in it.origin.asked] == [b"x=1&utm=1", b"x=1&utm=2"]
    assert await ask(it, "/a?x=1&utm=3")


async def test_a_response_without_the_field_answers_its_own_url_alone(it: Cdn) -> None:
    await ask(it, "/a?x=1&utm=1")
    it.origin.headers = [FRESH]
    await it.store.remove("cdn /a?x=1")
    assert not await ask(it, "/a?x=1")
    assert not await ask(it, "/a?x=1&utm=9")
    assert await ask(it, "/a?x=1")
    it.origin.headers = [FRESH, ("no-vary-search", UTM)]
    await ask(it, "/a?y&utm=1")  # the path has the field again; what is stored at /a?x=1 still has not
    assert not await ask(it, "/a?x=1&utm=8")


async def test_another_field_than_that_of_the_stored_response_does_not_count(it: Cdn) -> None:
    it.origin.headers = [FRESH, ("no-vary-search", 'params=("utm")')]
    await ask(it, "/a?x=1&utm=1")
    it.origin.headers = [FRESH, ("no-vary-search", NONE)]
    await ask(it, "/a?y=1")
    assert await ask(it, "/a?z=1"), "by the second"
    assert await ask(it, "/a?x=1&utm=2"), "by the first, or the second"


async def test_a_new_response_that_varies_otherwise_takes_the_place(it: Cdn) -> None:
    await ask(it, "/a?x=1&utm=1")
    it.clock.now += 700
    it.origin.headers, it.origin.body = [FRESH], b"other"
    assert not await ask(it, "/a?x=1&utm=1")
    assert await ask(it, "/a?x=1&utm=1")
    assert not await ask(it, "/a?x=1&utm=2")
    it.clock.now += 700
    it.origin.headers, it.origin.body = [FRESH, ("no-vary-search", UTM)], b"third"
    assert not await ask(it, "/a?x=1&utm=1")
    assert await ask(it, "/a?x=1&utm=1")
    assert await ask(it, "/a?x=1&utm=2")


async def test_a_304_with_another_field_renews_nothing(it: Cdn) -> None:
    it.origin.headers.append(("etag", '"1"'))
    await ask(it, "/a?x=1&utm=1")
    it.clock.now += 700
    it.origin.headers = [FRESH, ("etag", '"1"'), ("no-vary-search", NONE)]
    await ask(it, "/a?x=1&utm=2")
    assert [one.headers.get("if-none-match") for one in it.origin.asked] == [None, '"1"', None]
    assert await ask(it, "/a?q")


@pytest.mark.parametrize("path", ["/a?x=1&utm=1", "/a?x=1&utm=2", "/a?x=1"])
@pytest.mark.parametrize("method", ["POST", "HEAD"])
async def test_an_equivalent_url_is_invalidated(it: Cdn, path: str, method: str) -> None:
    await ask(it, "/a?x=1&utm=1")
    if method == "HEAD":
        it.origin.headers = [*it.origin.headers, ("etag", '"new"')]
        it.clock.now += 700
    await it.client.request(method, path)
    assert not await ask(it, "/a?x=1&utm=3")


@pytest.mark.parametrize("path", ["/a?x=1&utm=1", "/a?x=1&utm=2", "/a?x=1"])
async def test_an_equivalent_url_is_purged(it: Cdn, path: str) -> None:
    await ask(it, "/a?x=1&utm=1")
    assert await it.store.purge(1, PurgeScope(urls=(f"cdn {path}",))) == 1
    assert not await ask(it, "/a?x=1&utm=3")


async def test_a_fetch_of_a_url_that_is_invalidated_meanwhile_is_not_stored(it: Cdn) -> None:
    it.origin.gate, it.origin.parts = asyncio.Event(), [b"bo", b"dy"]
    fetching = asyncio.create_task(it.get("/a?x=1&utm=1"))
    while not it.origin.asked:
        await asyncio.sleep(0)
    await it.store.invalidate(["cdn /a?x=1&utm=1"])
    it.origin.gate.set()
    await fetching
    await it.settled()
    assert it.store.find_equivalent("cdn /a?x=1&utm=1", {}) is None


async def test_vary_counts_beside_it(it: Cdn) -> None:
    it.origin.headers.append(("vary", "accept-language"))
    assert not await ask(it, "/a?utm=1", accept_language="de")
    assert not await ask(it, "/a?utm=2", accept_language="en")
    assert await ask(it, "/a?utm=3", accept_language="de")


async def test_all_workers_see_it(tmp_path: Path) -> None:
    def script(asked: Asked) -> list[bytes]:
        return [answer(asked.method, "cache-control: max-age=600", f"no-vary-search: {UTM}")]

    origin = ScriptedServer(script)
    async with served(tmp_path, origin, workers=2) as (first, second):
        await first.get("/a?utm=1")
        await until(lambda: not first.proxy.fetches.busy)  # stored, where the other worker finds it
        assert "hit" in (await second.get("/a?utm=2")).headers["cache-status"]
        await second.client.post("/a?utm=3")
        assert "hit" not in (await first.get("/a?utm=4")).headers["cache-status"]


async def test_a_service_s_own_rule_counts_first(tmp_path: Path) -> None:
    async with cdn(tmp_path / "cache") as it:
        it.origin.answer = lambda request: httpx.Response(200, headers=[FRESH, ("no-vary-search", ONLY_ID)])
        it.origin.body = b""
        assert not await ask(it, "/a?id=1&z")
        assert await ask(it, "/a?id=1&y")
        assert not await ask(it, "/a?id=2&y")
