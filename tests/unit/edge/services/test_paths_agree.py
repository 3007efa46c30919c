"""Whatever the fast path answers, the general path would have answered, for a service with rules of every kind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cdn import Cdn, cdn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cache.storage.purge_scope import PurgeScope, range_from
from edge.cache.storage.store import MEMORY_BODY_LIMIT
from edge.services.served_connection import ServedConnection
from smkex.http.server.http1 import CONNECTION, RAW_TARGET

DOCUMENT: dict[str, Any] = {
    "cache": [
        {"path": "/private/*", "bypass": True},
        {"path": "/*.css", "key": {"query": "none"}, "client_directives": False},
        {
            "path": "/keyed*",
            "key": {"query": "allow", "parameters": ["x"], "headers": ["x-d"], "cookies": ["p"]},
        },
    ],
    "headers": {"client": [{"action": "set", "name": "x-service", "value": "shop"}]},
    "redirects": [{"path": "/old*", "to": "/new{path}{query}"}],
    "compression": {"minimum_bytes": 1},
    "access": {"deny": ["192.0.2.66/32"]},
    "required": {"modes": ["tofu", "mtls"]},
}
PATHS = st.sampled_from(["/a", "/a.css", "/keyed", "/private/a", "/old/a", "/%6Beyed", "/x/../a", "/b%2Fc"])
QUERIES = st.sampled_from(["", "?", "?x=1", "?x=2&y=1", "?y=1&x=1", "?y;x=1"])
FIELDS = st.dictionaries(
    st.sampled_from(
        ["accept-encoding", "cookie", "x-d", "cache-control", "pragma", "x-forwarded-for", "via"]
    ),
    st.sampled_from(["br", "gzip, br;q=0.1", "*;q=0", "p=1", "q=2; p=1", "no-cache", "max-age=0", "1"]),
    max_size=3,
)
CLIENTS = st.sampled_from(
    [("tofu", "192.0.2.1"), ("mtls", "192.0.2.2"), ("opportunistic", "192.0.2.1"), ("tofu", "192.0.2.66")]
)
HOSTS = st.sampled_from(["cdn", "CDN.", "cdn:443", "cdn:8443"])
Answer = tuple[int, list[tuple[str, str]], bytes]


async def ask_general(
    it: Cdn, target: str, host: str, fields: dict[str, str], connection: ServedConnection
) -> Answer:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    path, _, query = target.partition("?")
    pairs = [(b"host", host.encode()), *((name.encode(), value.encode()) for name, value in fields.items())]
    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": pairs,
        "client": (connection.client, 1),
        "extensions": {CONNECTION: connection, RAW_TARGET: target.encode()},
    }
    await it.proxy(scope, receive, send)
    await it.settled()
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], sorted(pair for pair in headers if pair[0] != "x-request-id"), body


def ask_fast(
    it: Cdn, target: str, host: str, fields: dict[str, str], connection: ServedConnection
) -> Answer | None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    answer = it.fast(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode(), connection)
    if answer is None:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *rest = head.decode().split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in rest)]
    return int(status.split()[1]), sorted(pair for pair in headers if pair[0] != "x-request-id"), body


ASKED = st.tuples(PATHS, QUERIES, HOSTS, FIELDS, CLIENTS)
# between requests: seconds go by, within a second and across its end, or a response is replaced or removed
BETWEEN = st.one_of(
    st.floats(0.0, 2.5).map(lambda seconds: ("wait", seconds)),
    st.sampled_from([0.25, 0.5, 1.0, 599.0, 600.0]).map(lambda seconds: ("wait", seconds)),
    st.tuples(st.just("invalidate"), PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("purge"), st.booleans()),
    st.tuples(st.just("change"), st.sampled_from([3, 300, 20_000, 100_000, 300_000])),
)


@given(
    st.lists(ASKED, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), BETWEEN), min_size=3, max_size=12),
    st.sampled_from([300, 20_000, 100_000]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_paths_answer_alike(
    tmp_path_factory: pytest.TempPathFactory,
    requests: list[tuple[str, str, str, dict[str, str], tuple[str, str]]],
    steps: list[tuple[int, tuple[str, Any]]],
    size: int,
) -> None:
    asyncio.run(_compare(tmp_path_factory.mktemp("cache"), requests, steps, size))


async def _compare(
    folder: Path,
    requests: list[tuple[str, str, str, dict[str, str], tuple[str, str]]],
    steps: list[tuple[int, tuple[str, Any]]],
    size: int,
) -> None:
    async with cdn(folder, DOCUMENT) as it:
        it.origin.headers = [("cache-control", "max-age=600"), ("content-type", "text/css"), ("etag", '"1"')]
        it.origin.body = _body_of(size)
        it.clock.now += 0.3  # within a second what was prepared holds; at its very beginning it does not
        ask_all = [request for request in requests for _ in range(3)]  # the third is answered from memory
        for request in ask_all:
            await _ask_both(it, *request)
        for number, (choice, (action, value)) in enumerate(steps):
            await _act(it, action, value, number)
            # twice: what the first had to prepare anew, the second finds
            for _ in range(2):
                await _ask_both(it, *requests[choice % len(requests)])


async def _ask_both(
    it: Cdn, path: str, query: str, host: str, fields: dict[str, str], client: tuple[str, str]
) -> None:
    mode, address = client
    one, other = (ServedConnection("", address, mode, lambda: True) for _ in range(2))
    fast = ask_fast(it, path + query, host, fields, one)
    general = await ask_general(it, path + query, host, fields, other)
    assert fast is None or fast == general
    assert (general[0] == 403) is (mode == "opportunistic" or address.endswith(".66"))


async def _act(it: Cdn, action: str, value: Any, number: int) -> None:
    match action:
        case "wait":
            it.clock.now += value
        case "invalidate":
            await it.store.invalidate([f"shop|cdn {value}"])
        case "remove":
            await it.store.remove(f"shop|cdn {value}")
        case "purge":
            soft_at = it.clock.now if value else None
            await it.store.purge(number + 1, PurgeScope(ranges=(range_from(""),), soft_at=soft_at))
        case "change":
            it.origin.body = _body_of(value)
            it.origin.headers[2] = ("etag", f'"{number + 2}"')


def _body_of(size: int) -> bytes:
    return (b"words and words %d " % size * size)[:size]


async def test_objects_of_every_size_that_memory_takes_are_prepared(tmp_path: Path) -> None:
    async with cdn(tmp_path) as it:
        for size in (0, 1 << 10, 10 << 10, 100 << 10, MEMORY_BODY_LIMIT, MEMORY_BODY_LIMIT + 1):
            it.origin.headers = [("cache-control", "max-age=600")]
            it.origin.body = _body_of(size)
            for _ in range(2):
                general = await ask_general(it, f"/{size}", "cdn", {}, ServedConnection())
            fast = ask_fast(it, f"/{size}", "cdn", {}, ServedConnection())
            assert fast == (general if size <= MEMORY_BODY_LIMIT else None)
