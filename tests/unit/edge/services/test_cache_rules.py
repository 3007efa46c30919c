"""What a service's cache rules say holds on both paths through the proxy, and in front of what is stored already."""

from pathlib import Path
from typing import Any

import pytest
from cdn import Cdn, cdn, http_date
from hypothesis import given
from hypothesis import strategies as st
from one_service import put_in_force

from edge.cache.storage.purge_scope import PurgeScope
from edge.services.key_rule import KeyRule
from edge.services.path_glob import PathGlob
from services.cache_rules import CacheKey
from services.document import parse_document


def rules(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"cache": list(rules)}


async def status_of(it: Cdn, path: str = "/a", **fields: str) -> str:
    """Cache-Status of a request; what it fetches is stored before it returns."""
    response = await it.get(path, **fields)
    await it.settled()
    return response.headers["cache-status"]


def fast_answer(it: Cdn, path: str = "/a", *fields: str) -> bytes | None:
    lines = "".join(f"{field}\r\n" for field in fields)
    return it.fast(f"GET {path} HTTP/1.1\r\nHost: cdn\r\n{lines}\r\n".encode())


async def test_the_first_rule_that_matches_counts(tmp_path: Path) -> None:
    document = rules(
        {"path": "/private/*", "bypass": True},
        {"path": "/*.css", "lifetimes": {"override": 600}},
        {"path": "/*", "lifetimes": {"override": 10}},
    )
    async with cdn(tmp_path, document) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        for path in ("/private/a.css", "/a.css", "/a"):
            await status_of(it, path)
        assert "fwd=bypass" in await status_of(it, "/private/a.css")
        assert "ttl=600" in await status_of(it, "/a.css")
        assert "ttl=10" in await status_of(it, "/a")
        assert fast_answer(it, "/a.css") is not None
        assert fast_answer(it, "/private/a.css") is None


async def test_an_override_replaces_lifetimes_and_validation(tmp_path: Path) -> None:
    async with cdn(tmp_path, rules({"lifetimes": {"override": 30}})) as it:
        it.origin.headers = [("cache-control", "no-cache, max-age=0, must-revalidate")]
        await status_of(it)
        assert "hit; ttl=30" in await status_of(it)
        it.clock.now += 31
        assert "fwd=stale" in await status_of(it)


@pytest.mark.parametrize(
    "headers",
    [[("cache-control", "no-store")], [("cache-control", "private")], [("set-cookie", "a=1")]],
)
async def test_an_override_stores_nothing_that_is_one_clients(
    tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    async with cdn(tmp_path, rules({"lifetimes": {"override": 30}})) as it:
        it.origin.headers = headers
        await status_of(it)
        assert "hit" not in await status_of(it)


async def test_an_override_is_not_for_errors(tmp_path: Path) -> None:
    async with cdn(tmp_path, rules({"lifetimes": {"override": 30, "negative": 7}})) as it:
        it.origin.status = 404
        await status_of(it)
        assert "ttl=7" in await status_of(it)
        it.origin.status = 500
        await status_of(it, "/b")
        assert "hit" not in await status_of(it, "/b")


async def test_a_default_stands_where_the_origin_says_nothing(tmp_path: Path) -> None:
    async with cdn(tmp_path, rules({"lifetimes": {"default": 20}})) as it:
        it.origin.headers = [("last-modified", http_date(-1_000_000))]
        await status_of(it)
        assert "ttl=20" in await status_of(it)
        it.origin.headers = [("cache-control", "max-age=5")]
        await status_of(it, "/b")
        assert "ttl=5" in await status_of(it, "/b")


async def test_stale_responses_as_the_rule_allows(tmp_path: Path) -> None:
    document = rules({"lifetimes": {"stale_while_revalidate": 10, "stale_if_error": 100}})
    async with cdn(tmp_path, document) as it:
        it.origin.headers = [("cache-control", "max-age=1")]
        await status_of(it)
        it.clock.now += 5
        assert "hit" in await status_of(it)
        it.origin.status = 503
        it.clock.now += 50
        assert "detail=stale-if-error" in await status_of(it)
        it.origin.headers = [("cache-control", "max-age=1, must-revalidate")]
        it.origin.status = 200
        await status_of(it, "/b")
        it.clock.now += 5
        assert "fwd=stale" in await status_of(it, "/b")


async def test_a_new_revision_counts_for_what_is_stored(tmp_path: Path) -> None:
    async with cdn(tmp_path, rules({"lifetimes": {"override": 600}})) as it:
        await status_of(it)
        assert "ttl=600" in await status_of(it)
        assert fast_answer(it) is not None
        put_in_force(it.services, rules({"lifetimes": {"override": 5}}))
        answer = fast_answer(it)
        assert answer is not None
        assert b"ttl=5" in answer
        it.clock.now += 6
        assert fast_answer(it) is None
        put_in_force(it.services, rules({"lifetimes": {"override": 600}}))
        assert "ttl=594" in await status_of(it)
        put_in_force(it.services, rules({"bypass": True}))
        assert "fwd=bypass" in await status_of(it)
        assert fast_answer(it) is None


@pytest.mark.parametrize(
    ("key", "same", "different"),
    [
        ({}, "/a?x=1", "/a?x=2"),
        ({"query": "none"}, "/a?y", "/b?x=1"),
        ({"query": "allow", "parameters": ["x"]}, "/a?utm=1&x=1", "/a?x=2"),
        ({"query": "deny", "parameters": ["utm"]}, "/a?x=1&utm=7", "/a?x=1&other=7"),
        ({"query": "deny", "parameters": ["utm source"]}, "/a?x=1&utm%20source=7", "/a?x=1&utm=7"),
        ({"query": "deny", "parameters": ["utm"]}, "/a?x=1&utm=2", "/a?x=1&utm=1;x=2"),
        ({"query": "allow", "parameters": ["x"]}, "/a?x=1&y=2", "/a?x=1&y=2;x=3"),
    ],
)
async def test_the_query_counts_as_the_rule_says(
    tmp_path: Path, key: dict[str, Any], same: str, different: str
) -> None:
    async with cdn(tmp_path, rules({"key": key})) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        await status_of(it, "/a?x=1")
        assert str(it.origin.asked[-1].url).endswith("/a?x=1")
        assert "hit" in await status_of(it, same)
        assert fast_answer(it, same) is not None
        assert "fwd=uri-miss" in await status_of(it, different)


async def test_fields_and_cookies_in_the_key(tmp_path: Path) -> None:
    document = rules({"key": {"headers": ["x-device"], "cookies": ["plan"]}})
    async with cdn(tmp_path, document) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        asked = {"x_device": "phone", "cookie": "id=1; plan=gold"}
        await status_of(it, **asked)
        assert "hit" in await status_of(it, **{**asked, "cookie": "plan=gold; id=2"})
        assert fast_answer(it, "/a", "X-Device: phone", "Cookie: plan=gold") is not None
        assert fast_answer(it, "/a", "X-Device: phone", "Cookie: plan=free") is None
        assert "uri-miss" in await status_of(it, **{**asked, "cookie": "plan=gold; plan=free"})
        assert "uri-miss" in await status_of(it, **{**asked, "x_device": "tv"})
        assert "uri-miss" in await status_of(it)
        # one URL, four responses: an unsafe method and a purge end all of them
        await it.client.post("/a")
        assert fast_answer(it, "/a", "X-Device: phone", "Cookie: plan=gold") is None
        for device in ("phone", "tv"):
            assert "uri-miss" in await status_of(it, x_device=device)
        key = it.services.current.purged_key("https://cdn/a")
        assert await it.store.purge(1, PurgeScope((key,))) == 2
        assert "uri-miss" in await status_of(it, x_device="tv")


async def test_a_fetch_with_fields_in_its_key_is_discarded_by_an_invalidation(tmp_path: Path) -> None:
    async with cdn(tmp_path, rules({"key": {"headers": ["x-device"]}})) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        since = it.store.last_change
        await status_of(it, x_device="tv")
        entry = it.store.find(
            "shop|cdn /a" + KeyRule(CacheKey(headers=("x-device",))).request_suffix({"x-device": "tv"}), {}
        )
        assert entry is not None
        await it.store.invalidate(["shop|cdn /a"])
        assert not await it.store.insert(entry, None, [], since)


@pytest.mark.parametrize("value", ["no-cache", "max-age=0", "no-store"])
async def test_a_clients_directives_count_unless_the_rule_says_no(tmp_path: Path, value: str) -> None:
    async with cdn(tmp_path / "a", rules({"lifetimes": {"override": 60}, "client_directives": False})) as it:
        await status_of(it, cache_control=value, pragma="no-cache")
        assert "hit" in await status_of(it, cache_control=value, pragma="no-cache")
        assert fast_answer(it, "/a", f"Cache-Control: {value}", "Pragma: no-cache") is not None
    async with cdn(tmp_path / "b", rules({"lifetimes": {"override": 60}})) as it:
        await status_of(it)
        assert fast_answer(it, "/a", f"Cache-Control: {value}") is None
        assert fast_answer(it, "/a", "Pragma: no-cache") is None


async def test_a_rule_for_head_is_not_for_get(tmp_path: Path) -> None:
    async with cdn(tmp_path, rules({"methods": ["HEAD"], "bypass": True})) as it:
        it.origin.headers = [("cache-control", "max-age=60")]
        await status_of(it)
        assert "hit" in await status_of(it)
        assert "fwd=bypass" in (await it.client.head("/a")).headers["cache-status"]


GLOBS = st.text(alphabet="ab*/", max_size=8).map(lambda text: "/" + text)
PATHS = st.text(alphabet="ab/", max_size=10).map(lambda text: "/" + text)


@given(GLOBS, PATHS)
def test_a_star_matches_any_characters(pattern: str, path: str) -> None:
    def slow_match(pattern: str, path: str) -> bool:
        if not pattern:
            return not path
        if pattern[0] == "*":
            return any(slow_match(pattern[1:], path[at:]) for at in range(len(path) + 1))
        return path[:1] == pattern[0] and slow_match(pattern[1:], path[1:])

    assert PathGlob(pattern).matches(path) is slow_match(pattern, path)


def test_a_long_path_is_matched_in_linear_time() -> None:
    assert not PathGlob("/" + "*a" * 1000 + "*b").matches("/" + "a" * 8000)


def test_a_glob_is_written_as_paths_are() -> None:
    document = parse_document(
        {
            "hostnames": ["cdn"],
            "origins": [{"name": "main", "url": "http://origin"}],
            "cache": [{"path": "/%7euser/./*"}],
        }
    )
    assert document.model_dump()["cache"][0]["path"] == "/~user/*"
