"""A request on its way to an origin: what may be repeated, which fields end at one hop, and loops."""

from edge.http.fields import Pairs, list_members

IDEMPOTENT_METHODS = frozenset(
    {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY", "PROPFIND", "SEARCH", "REPORT"}
)
LOOP_LIMIT = 16  # CDNs that a request may have traversed
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def end_to_end(headers: Pairs) -> Pairs:
    """Remove hop-by-hop fields (RFC 9110 section 7.6.1)."""
    named = {token for name, value in headers if name == "connection" for token in list_members(value)}
    return [pair for pair in headers if pair[0] not in HOP_BY_HOP and pair[0] not in named]


def is_request_loop(headers: Pairs, name: str) -> bool:
    """Whether CDN-Loop names this edge or too many CDNs (RFC 8586)."""
    passed = [
        token.split(";")[0].strip()
        for field, value in headers
        if field == "cdn-loop"
        for token in list_members(value)
    ]
    return name in passed or len(passed) > LOOP_LIMIT
