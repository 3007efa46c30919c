"""A client's request as the cache sees it."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import httpx

from edge.http.fields import Fields, Pairs, joined, members

# whom a request is for, where it ends and where it has been is no matter of one connection, whatever Connection names
ESSENTIAL = frozenset({"host", "content-length", "transfer-encoding", "cdn-loop"})
_ANY = httpx.URL("http://host")


@dataclass(frozen=True, slots=True)
class Request:
    """`key` names the object for the store: host and target.

    Target and headers are what the origin will see: what the client's Connection names is gone, so that it selects no
    variant either, and the host is written as in the key. An answer to anything else would be stored under the wrong
    name.
    """

    method: str
    target: bytes
    headers: Pairs
    fields: Fields
    key: str
    client: str = ""  # its address where that is known

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> "Request":
        """Raises `ValueError` where the target is no path of a URL: nobody can be asked for it."""
        query = scope["query_string"]
        target = plain_target(scope["raw_path"] + (b"?" + query if query else b""))
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        named = {token for name, value in pairs if name == "connection" for token in members(value)}
        gone = (named - ESSENTIAL) | {"connection"}
        pairs = [
            (name, plain_host(value) if name == "host" else value)
            for name, value in pairs
            if name not in gone
        ]
        fields = joined(pairs)
        client, _ = scope.get("client") or ("", 0)
        return cls(scope["method"], target, pairs, fields, key_of(fields.get("host", ""), target), client)


def plain_host(host: str) -> str:
    """A host in the one way of all in which it may be written: in lower case, without a default port."""
    name = host.lower()
    for port in (":80", ":443"):
        name = name.removesuffix(port)
    return name


def plain_target(target: bytes) -> bytes:
    """A target in the one way in which the origin is asked for it: without dot segments (RFC 3986 section 6.2.2.3).

    Raises `ValueError` for what is no path, or holds bytes that no URL may.
    """
    if not target.startswith(b"/"):
        raise ValueError("the target is no path")
    try:
        return _ANY.copy_with(raw_path=target).raw_path
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None


def key_of_url(url: str) -> str:
    """The key of a whole URL; the scheme does not matter: one store serves all. Raises `ValueError`."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    return key_of(parsed.netloc.decode(), parsed.raw_path)


def key_of(host: str, target: bytes) -> str:
    """One key a URL, whatever case or default port its host is written with."""
    return f"{plain_host(host)} {target.decode('latin-1')}"
