"""May a shared cache store a response (RFC 9111 section 3)."""

from edge.cache.rules.freshness import HEURISTIC_STATUS, has_explicit_lifetime
from edge.http.fields import Fields, date, directives, members

# final codes whose caching rules this cache knows, for must-understand (RFC 9111 section 5.2.2.3)
UNDERSTOOD = frozenset(
    {
        200,
        203,
        204,
        300,
        301,
        302,
        303,
        307,
        308,
        400,
        401,
        403,
        404,
        405,
        410,
        414,
        451,
        500,
        501,
        502,
        503,
        504,
    }
)
VARY_LIMIT = 16  # field names: more than that is no variant, it is every request


def why_not(method: str, asked: Fields, status: int, fields: Fields) -> str | None:
    """Say why a response is not stored, None when it may be.

    Stricter than the RFC, which allows each: of `private` and `no-cache` with field names the names are not looked at;
    parts (206) are not stored; nor is what sets a cookie, which is somebody's.
    """
    control = directives(fields.get("cache-control", ""))
    wanted = directives(asked.get("cache-control", ""))
    if method != "GET":
        return "method"
    if status < 200 or status in (206, 304):
        return "status"
    if "no-store" in wanted:
        return "request-no-store"
    if "must-understand" in control:
        if status not in UNDERSTOOD:
            return "not-understood"
    elif "no-store" in control:
        return "no-store"
    if "private" in control:
        return "private"
    if "authorization" in asked and not control.keys() & {"must-revalidate", "public", "s-maxage"}:
        return "authorization"  # section 3.5
    if "set-cookie" in fields:
        return "set-cookie"
    vary = members(fields.get("vary", ""))
    if "*" in vary or len(vary) > VARY_LIMIT:
        return "vary"
    if not (has_explicit_lifetime(fields) or "public" in control or status in HEURISTIC_STATUS):
        return "status"
    return None


def is_worth_storing(fields: Fields, lifetime: float) -> bool:
    """Whether storing it can save anything: it is fresh for a while, or can be validated or served stale."""
    if lifetime > 0 or "etag" in fields or date(fields.get("last-modified")) is not None:
        return True
    control = directives(fields.get("cache-control", ""))
    return bool(control.keys() & {"stale-while-revalidate", "stale-if-error"})
