"""Whether a shared cache may store a response (RFC 9111 section 3)."""

import re
from collections.abc import Mapping

from edge.cache.rules.freshness import HEURISTIC_STATUS, has_explicit_lifetime
from edge.cache.rules.targeted import effective_directives
from edge.http.fields import Fields, list_members, parse_directives
from smkex.http.semantics.dates import parse_http_date

# final codes whose caching rules this cache knows, for must-understand (RFC 9111 section 5.2.2.3)
UNDERSTOOD_STATUS = frozenset(
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
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VARY_LIMIT = 16  # field names: with more, nearly every request is a variant of its own


def storage_obstacle(method: str, asked: Fields, status: int, fields: Fields) -> str | None:
    """Return why a response must not be stored, None if it may.

    Stricter than the RFC requires: field names of `private` and `no-cache` are ignored; partial responses (206) and
    responses that set a cookie are not stored.
    """
    control = effective_directives(fields)
    wanted = parse_directives(asked.get("cache-control", ""))
    if method != "GET":
        return "method"
    if status < 200 or status in (206, 304):
        return "status"
    if "no-store" in wanted:
        return "request-no-store"
    if "must-understand" in control:
        if status not in UNDERSTOOD_STATUS:
            return "not-understood"
    elif "no-store" in control:
        return "no-store"
    if "private" in control:
        return "private"
    if "authorization" in asked and not control.keys() & {"must-revalidate", "public", "s-maxage"}:
        return "authorization"  # section 3.5
    if "set-cookie" in fields:
        return "set-cookie"
    vary = list_members(fields.get("vary", ""))
    # no request can be compared in what is not the name of a field: "accept-language cookie" counts as "*"
    if len(vary) > VARY_LIMIT or "*" in vary or not all(map(_FIELD_NAME.fullmatch, vary)):
        return "vary"
    if not (has_explicit_lifetime(fields) or "public" in control or status in HEURISTIC_STATUS):
        return "status"
    return None


def is_worth_storing(fields: Fields, control: Mapping[str, str], lifetime: float) -> bool:
    """Whether a stored copy is useful: fresh for some time, or usable after validation or while stale."""
    if lifetime > 0 or "etag" in fields or parse_http_date(fields.get("last-modified")) is not None:
        return True
    return bool(control.keys() & {"stale-while-revalidate", "stale-if-error"})
