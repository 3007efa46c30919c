"""Fields that say where a request came from: a client's are dropped, the edge writes its own (RFC 7239).

A client's trace is continued by what `edge.telemetry.trace_context` accepts of its fields.

Origins build links and decide access by them, and they are no part of the cache key: a client that could set them would
choose what the cache stores for everyone.
"""

from edge.http.fields import Pairs

PREFIX = "x-forwarded-"
UNTRUSTED_FIELDS = frozenset(
    {
        "cf-connecting-ip",
        "client-ip",
        "fastly-client-ip",
        "forwarded",
        "sennit-shield-client",
        "sennit-shield-purge",
        "sennit-session",
        "traceparent",
        "tracestate",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-forwarded",
        "x-host",
        "x-http-host-override",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-url",
        "x-originating-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-request-id",
        "x-rewrite-url",
    }
)


def is_untrusted_field(name: str) -> bool:
    """Whether a client's field of this name (in lower case) is dropped; many origins read "_" as "-"."""
    plain = name.replace("_", "-")
    return plain in UNTRUSTED_FIELDS or plain.startswith(PREFIX)


def forwarded_fields(client: str, host: str) -> Pairs:
    """The edge's own fields for a request of `client` to `host`. Sessions and HTTPS are both encrypted: https."""
    node = f'"[{client}]"' if ":" in client else client or "unknown"
    named = f';host="{host}"' if host else ""
    found = [("forwarded", f"for={node}{named};proto=https"), ("x-forwarded-proto", "https")]
    if client:
        found.append(("x-forwarded-for", client))
    if host:
        found.append(("x-forwarded-host", host))
    return found
