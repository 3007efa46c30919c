"""A client's request with its cache key.

The key, the target that the origin is asked for, and the URL of a purge are made by the same functions
(`smkex.http.semantics`): a response is stored under the URL that was requested, and a purge removes it.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Self

from edge.http.fields import Fields, Pairs, combine_fields, list_members
from edge.http.forwarded import forwarded_fields, is_untrusted_field
from edge.telemetry.request_record import REQUEST_RECORD
from smkex.http.semantics.authority import Authority
from smkex.http.semantics.integers import parse_integer
from smkex.http.semantics.targets import normalize_target, parse_target, parse_url, resolve_reference
from smkex.http.server.http1 import RAW_TARGET

# end-to-end whatever Connection names: recipient, framing and loop detection
ESSENTIAL = frozenset({"host", "content-length", "transfer-encoding", "cdn-loop"})


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """`key` identifies the URL: host and target.

    Target and headers are sent to the origin as they are: fields named by Connection are removed, so that they select
    no variant, and so are a client's own forwarding fields.
    """

    method: str
    target: bytes
    headers: Pairs
    fields: Fields
    key: str
    client: str = ""  # IP address if known
    host: str = ""  # name or address, without port and brackets

    def with_target(self, target: str) -> Self:
        """Return the request for another canonical target of the same host."""
        host = self.key.partition(" ")[0]
        return replace(self, target=target.encode("ascii"), key=f"{host} {target}")

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> "ClientRequest":
        """Build from an ASGI scope. Raises `ValueError` for an invalid target or Host."""
        target = parse_target(_raw_target(scope))
        pairs = [
            (name.decode("latin-1"), value.decode("latin-1").strip(" \t")) for name, value in scope["headers"]
        ]
        hosts = [value for name, value in pairs if name == "host"]
        if len(hosts) > 1:
            raise ValueError("more than one Host field")
        authority = target.authority or Authority.parse(hosts[0] if hosts else "")
        client, _ = scope.get("client") or ("", 0)
        named = {token for name, value in pairs if name == "connection" for token in list_members(value)}
        removed = (named - ESSENTIAL) | {"connection", "host"}
        kept = [
            (name, _canonical_length(value) if name == "content-length" else value)
            for name, value in pairs
            if name not in removed and not is_untrusted_field(name)
        ]
        own = [("host", str(authority))] if hosts or target.authority else []
        record = scope.get("extensions", {}).get(REQUEST_RECORD)
        identity = record.origin_fields() if record is not None else []
        headers = [*own, *kept, *forwarded_fields(client, str(authority)), *identity]
        path = normalize_target(target.path)
        return cls(
            scope["method"],
            path,
            headers,
            combine_fields(headers),
            _join_key(authority, path),
            client,
            authority.host.strip("[]"),
        )


def cache_key(host: str, target: bytes) -> str:
    """Cache key of a Host field and a target in origin form. Raises `ValueError`."""
    return _join_key(Authority.parse(host), normalize_target(target))


def url_cache_key(url: str) -> str:
    """Cache key of an absolute URL of any scheme. Raises `ValueError`."""
    return _join_key(*parse_url(url))


def reference_cache_key(host: str, target: bytes, reference: str) -> str:
    """Cache key of a Location or Content-Location in the response to a request. Raises `ValueError`."""
    return _join_key(*resolve_reference(Authority.parse(host), target, reference.encode("latin-1")))


def _canonical_length(value: str) -> str:
    """Return the length without leading zeros, which an origin may read as an octal number."""
    length = parse_integer(value)
    return value if length is None else str(length)


def _join_key(authority: Authority, target: bytes) -> str:
    return f"{authority} {target.decode('ascii')}"


def _raw_target(scope: MutableMapping[str, Any]) -> bytes:
    raw: bytes | None = scope.get("extensions", {}).get(RAW_TARGET)
    if raw is None:
        query = scope["query_string"]
        raw = scope["raw_path"] + (b"?" + query if query else b"")
    return raw
