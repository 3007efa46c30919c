"""May a response be stored by a shared cache, and how long is it fresh (RFC 9111 sections 3 and 4.2)."""

from collections.abc import Mapping

KNOWN_LENGTH_ONLY = "content-length"


def directives(value: str) -> dict[str, str]:
    """Cut Cache-Control into its directives, names in lower case, values without quotes."""
    found: dict[str, str] = {}
    for part in value.split(","):
        name, _, argument = part.strip().partition("=")
        if name:
            found.setdefault(name.lower(), argument.strip('"'))
    return found


def may_store(method: str, asked: Mapping[str, str], status: int, headers: Mapping[str, str]) -> bool:
    """Whether this response may be stored. Vary, credentials and partial content are left alone."""
    if method != "GET" or status != 200 or "range" in asked or "authorization" in asked:
        return False
    if "vary" in headers or "set-cookie" in headers:
        return False
    control = directives(headers.get("cache-control", ""))
    if (
        "no-store" in control
        or "private" in control
        or "no-store" in directives(asked.get("cache-control", ""))
    ):
        return False
    return lifetime(headers) > 0 or "etag" in headers


def lifetime(headers: Mapping[str, str]) -> int:
    """Seconds of freshness that the response gives itself; s-maxage outweighs max-age."""
    control = directives(headers.get("cache-control", ""))
    if "no-cache" in control:
        return 0
    for name in ("s-maxage", "max-age"):
        if control.get(name, "").isdigit():
            return int(control[name][:9])
    return 0
