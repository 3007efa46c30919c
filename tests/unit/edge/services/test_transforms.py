"""Header rules and redirects are the same on both paths through the proxy."""

from pathlib import Path
from typing import Any

import pytest
from cdn import cdn
from hypothesis import given
from hypothesis import strategies as st
from one_service import put_in_force
from pydantic import ValidationError

from edge.services.transforms.redirect_list import RedirectList
from services.transforms import FieldRule, Redirect

CLIENT_RULES = [
    {"action": "set", "name": "Strict-Transport-Security", "value": "max-age=1"},
    {"action": "remove", "name": "server"},
    {"action": "add", "name": "link", "value": "</b>"},
]


async def test_fields_of_responses_are_changed_on_both_paths(tmp_path: Path) -> None:
    async with cdn(tmp_path, {"headers": {"client": CLIENT_RULES}}) as it:
        it.origin.headers = [
            ("cache-control", "max-age=60"),
            ("server", "origin/1"),
            ("strict-transport-security", "max-age=0"),
            ("link", "</a>"),
        ]
        for _ in range(2):
            general = await it.get()
            await it.settled()
        assert general.headers["strict-transport-security"] == "max-age=1"
        assert "server" not in general.headers
        assert general.headers.get_list("link") == ["</a>", "</b>"]
        fast = it.fast(b"GET /a HTTP/1.1\r\nHost: cdn\r\n\r\n")
        assert fast is not None
        lines = fast.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        named = [tuple(line.split(": ", 1)) for line in lines if not line.startswith("x-request-id")]
        assert sorted(named) == sorted(
            pair for pair in general.headers.multi_items() if pair[0] != "x-request-id"
        )
        put_in_force(it.services, {})
        plain = it.fast(b"GET /a HTTP/1.1\r\nHost: cdn\r\n\r\n")
        assert plain is not None
        assert b"server: origin/1" in plain
        assert b"</b>" not in plain


async def test_the_edges_own_answers_have_the_fields_too(tmp_path: Path) -> None:
    document = {"headers": {"client": CLIENT_RULES}, "access": {"allow": ["10.0.0.0/8"]}}
    async with cdn(tmp_path, document) as it:
        refused = await it.get()
        assert refused.status_code == 403
        assert refused.headers["strict-transport-security"] == "max-age=1"


async def test_fields_of_requests_are_changed_for_the_origin_alone(tmp_path: Path) -> None:
    rules = [
        {"action": "set", "name": "x-tenant", "value": "shop"},
        {"action": "remove", "name": "cookie"},
        {"action": "add", "name": "authorization", "value": "Basic eA=="},
    ]
    async with cdn(tmp_path, {"headers": {"origin": rules}}) as it:
        it.origin.headers = [("cache-control", "max-age=60"), ("vary", "x-tenant")]
        await it.get(cookie="a=1", x_tenant="evil")
        await it.settled()
        asked = it.origin.asked[-1].headers
        assert asked["x-tenant"] == "shop"
        assert asked["authorization"] == "Basic eA=="
        assert "cookie" not in asked
        assert "hit" in (await it.get(x_tenant="evil")).headers["cache-status"]
        await it.client.post("/a", headers={"cookie": "a=1"})
        assert "cookie" not in it.origin.asked[-1].headers


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "set", "name": "content-encoding", "value": "gzip"},
        {"action": "remove", "name": "If-None-Match"},
        {"action": "remove", "name": "x", "value": "y"},
        {"action": "set", "name": "x y", "value": "z"},
    ],
)
def test_rules_that_would_break_a_message_are_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FieldRule(**rule)


async def test_a_path_is_redirected(tmp_path: Path) -> None:
    document = {
        "redirects": [
            {"path": "/old/*", "to": "https://www.example.org{path}{query}", "status": 301},
            {"path": "/", "to": "/start"},
        ]
    }
    async with cdn(tmp_path, document) as it:
        moved = await it.get("/old/a?b=%7Bpath%7D")
        assert moved.status_code == 301
        assert moved.headers["location"] == "https://www.example.org/old/a?b=%7Bpath%7D"
        start = await it.client.post("/")
        assert (start.status_code, start.headers["location"]) == (308, "/start")
        assert not it.origin.asked
        assert it.fast(b"GET / HTTP/1.1\r\nHost: cdn\r\n\r\n") is None


@given(
    st.sampled_from(["https://www.example.org{path}", "https://www.example.org{query}", "/a{path}{query}"]),
    st.text(alphabet="/\\.?@:ae%", max_size=12).map(lambda text: "/" + text),
)
def test_no_request_redirects_to_another_host(to: str, target: str) -> None:
    found = RedirectList([Redirect(path="/*", to=to)]).find_redirect(target)
    assert found is not None
    assert found.location.startswith(("https://www.example.org/", "https://www.example.org?", "/a/")) or (
        found.location == "https://www.example.org"
    )


@pytest.mark.parametrize(
    "to",
    [
        *("{path}", "/{path}", "//evil.example", "/\\evil.example", "https://{path}", "https://a@{path}"),
        *("javascript:alert(1)", "/a b", "ftp://a/", "/a{b}"),
    ],
)
def test_an_open_redirect_is_refused(to: str) -> None:
    with pytest.raises(ValidationError):
        Redirect(path="/*", to=to)
