"""Which redirects stay inside a session's host."""

import httpx
import pytest

from smkex.client.download.redirects import redirect_target, redirected_method

URL = "smkex://cdn.lab:4433/a/b?c"


def answer(location: str | None, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={} if location is None else {"location": location})


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/x", "smkex://cdn.lab:4433/x"),
        ("x?y", "smkex://cdn.lab:4433/a/x?y"),
        ("?z", "smkex://cdn.lab:4433/a/b?z"),
        ("/x#part", "smkex://cdn.lab:4433/x"),
        ("smkex://cdn.lab:4433/x", "smkex://cdn.lab:4433/x"),
        ("smkex://CDN.LAB.:4433/x", "smkex://cdn.lab:4433/x"),
        ("https://cdn.lab/x", "smkex://cdn.lab:4433/x"),
        ("http://cdn.lab:80/x", "smkex://cdn.lab:4433/x"),
        ("//cdn.lab:4433/x", "smkex://cdn.lab:4433/x"),
        ("/caf%C3%A9", "smkex://cdn.lab:4433/caf%C3%A9"),
    ],
)
def test_inside_the_host_the_session_goes_on(location: str, target: str) -> None:
    assert redirect_target(URL, answer(location)) == target


@pytest.mark.parametrize(
    "location",
    [
        "http://elsewhere/",
        "//elsewhere/x",
        "smkex://cdn.lab/x",
        "https://cdn.lab:8443/x",
        "https://user@cdn.lab/x",
        "https://cdn.lab.evil/x",
        "ftp://cdn.lab/x",
        "file:///etc/passwd",
        "https://[::1/x",
        None,
    ],
)
def test_all_others_lead_out(location: str | None) -> None:
    assert redirect_target(URL, answer(location)) is None


def test_only_a_redirect_redirects() -> None:
    assert redirect_target(URL, answer("/x", 200)) is None
    assert redirect_target(URL, answer("/x", 304)) is None


@pytest.mark.parametrize(
    ("method", "status", "wanted"),
    [
        ("GET", 303, "GET"),
        ("HEAD", 301, "HEAD"),
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
    ],
)
def test_the_method_that_follows(method: str, status: int, wanted: str) -> None:
    assert redirected_method(method, status) == wanted
