"""Whatever the fast path answers, the general path would have answered, for a service with rules of every kind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cdn import Cdn, cdn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    answer = it.proxy.fast_path.answer(
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode(), connection
    )
    if answer is None:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *rest = head.decode().split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in rest)]
    return int(status.split()[1]), sorted(pair for pair in headers if pair[0] != "x-request-id"), body


@given(st.lists(st.tuples(PATHS, QUERIES, HOSTS, FIELDS, CLIENTS), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_paths_answer_alike(
    tmp_path_factory: pytest.TempPathFactory,
    requests: list[tuple[str, str, str, dict[str, str], tuple[str, str]]],
) -> None:
    asyncio.run(_compare(tmp_path_factory.mktemp("cache"), requests))


async def _compare(
    folder: Path, requests: list[tuple[str, str, str, dict[str, str], tuple[str, str]]]
) -> None:
    async with cdn(folder, DOCUMENT) as it:
        it.origin.headers = [("cache-control", "max-age=600"), ("content-type", "text/css"), ("etag", '"1"')]
        it.origin.body = b"words and words " * 20
        for path, query, host, fields, (mode, client) in requests * 3:
            one, other = (ServedConnection("", client, mode, lambda: True) for _ in range(2))
            fast = ask_fast(it, path + query, host, fields, one)
            general = await ask_general(it, path + query, host, fields, other)
            assert fast is None or fast == general
            assert (general[0] == 403) is (mode == "opportunistic" or client.endswith(".66"))
