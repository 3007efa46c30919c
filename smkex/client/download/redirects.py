"""Redirects that stay inside a session's host: all others would leave the CDN, and the session."""

import httpx

from smkex.transport.routes.host_name import HostName, InvalidHostName

REDIRECT_LIMIT = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_KEEP_METHOD = (307, 308)
_ORIGIN_SCHEMES = {"http": 80, "https": 443}  # of an origin that names itself as its clients would


def redirect_target(url: str, response: httpx.Response) -> str | None:
    """Return where a redirect of `url` leads inside its host; None for another host, and where there is none."""
    location = response.headers.get("location")
    if response.status_code not in _REDIRECTS or location is None:
        return None
    try:
        here = httpx.URL(url)
        there = here.copy_with(scheme="https").join(
            location
        )  # the standard library joins known schemes alone
        same_host = HostName.parse(there.host) == HostName.parse(here.host)
    except (httpx.InvalidURL, InvalidHostName, ValueError):
        return None
    if there.scheme in _ORIGIN_SCHEMES:
        same_port = there.port in (None, _ORIGIN_SCHEMES[there.scheme], here.port)
    else:
        same_port = there.scheme == here.scheme and there.port == here.port
    if not (same_host and same_port) or there.userinfo:
        return None
    return str(here.copy_with(raw_path=there.raw_path, fragment=None))


def redirected_method(method: str, status: int) -> str:
    """Return the method of the next request (RFC 9110 section 15.4): POST becomes GET, as all clients do it."""
    if status in _KEEP_METHOD or method in ("GET", "HEAD"):
        return method
    return "GET" if status == 303 or method == "POST" else method
