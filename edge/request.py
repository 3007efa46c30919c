"""A client's request as the cache sees it."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from edge.cache.control import Fields, Pairs, joined, members

# whom a request is for, where it ends and where it has been is no matter of one connection, whatever Connection names
ESSENTIAL = frozenset({"host", "content-length", "transfer-encoding", "cdn-loop"})


@dataclass(frozen=True, slots=True)
class Request:
    """`key` names the object for the store: host and target.

    The headers are what the origin will see: what the client's Connection names is gone, so that it selects no variant
    either, and the host is written as in the key. An answer to anything else would be stored under the wrong name.
    """

    method: str
    target: bytes
    headers: Pairs
    fields: Fields
    key: str

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> "Request":
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        named = {token for name, value in pairs if name == "connection" for token in members(value)}
        gone = (named - ESSENTIAL) | {"connection"}
        pairs = [
            (name, plain_host(value) if name == "host" else value)
            for name, value in pairs
            if name not in gone
        ]
        fields = joined(pairs)
        return cls(scope["method"], target, pairs, fields, key_of(fields.get("host", ""), target))


def plain_host(host: str) -> str:
    """A host in the one way of all in which it may be written: in lower case, without a default port."""
    name = host.lower()
    for port in (":80", ":443"):
        name = name.removesuffix(port)
    return name


def key_of(host: str, target: bytes) -> str:
    """One key a URL, whatever case or default port its host is written with."""
    return f"{plain_host(host)} {target.decode('latin-1')}"
