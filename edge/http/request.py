"""A client's request with its cache key."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import httpx

from edge.http.fields import Fields, Pairs, combine_fields, list_members

# end-to-end whatever Connection names: recipient, framing and loop detection
ESSENTIAL = frozenset({"host", "content-length", "transfer-encoding", "cdn-loop"})
_ANY = httpx.URL("http://host")


@dataclass(frozen=True, slots=True)
class Request:
    """`key` identifies the URL in the store: host and target.

    Target and headers are sent to the origin as they are: fields named by Connection are removed, so that they select
    no variant, and the host is the one of the key, so that a response is stored under the URL that was requested.
    """

    method: str
    target: bytes
    headers: Pairs
    fields: Fields
    key: str
    client: str = ""  # IP address if known

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> "Request":
        """Build from an ASGI scope. Raises `ValueError` for an invalid target."""
        query = scope["query_string"]
        target = normalize_target(scope["raw_path"] + (b"?" + query if query else b""))
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        named = {token for name, value in pairs if name == "connection" for token in list_members(value)}
        gone = (named - ESSENTIAL) | {"connection"}
        pairs = [
            (name, normalize_host(value) if name == "host" else value)
            for name, value in pairs
            if name not in gone
        ]
        fields = combine_fields(pairs)
        client, _ = scope.get("client") or ("", 0)
        return cls(scope["method"], target, pairs, fields, cache_key(fields.get("host", ""), target), client)


def normalize_host(host: str) -> str:
    """Lower case, without a default port."""
    name = host.lower()
    for port in (":80", ":443"):
        name = name.removesuffix(port)
    return name


def normalize_target(target: bytes) -> bytes:
    """Remove dot segments (RFC 3986 section 6.2.2.3). Raises `ValueError` for an invalid path."""
    if not target.startswith(b"/"):
        raise ValueError("the target is not an absolute path")
    try:
        return _ANY.copy_with(raw_path=target).raw_path
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None


def url_cache_key(url: str) -> str:
    """Cache key of an absolute URL of any scheme. Raises `ValueError`."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    return cache_key(parsed.netloc.decode(), parsed.raw_path)


def cache_key(host: str, target: bytes) -> str:
    """Cache key of a host and a target."""
    return f"{normalize_host(host)} {target.decode('latin-1')}"
