"""A client's request as the cache sees it."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from edge.cache.control import Fields, Pairs, joined


@dataclass(frozen=True, slots=True)
class Request:
    """`key` names the object for the store: host and target."""

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
        fields = joined(pairs)
        return cls(scope["method"], target, pairs, fields, key_of(fields.get("host", ""), target))


def key_of(host: str, target: bytes) -> str:
    """One key a URL, whatever case or default port its host is written with."""
    name = host.lower()
    for port in (":80", ":443"):
        name = name.removesuffix(port)
    return f"{name} {target.decode('latin-1')}"
