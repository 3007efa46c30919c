"""How long a stored response is fresh, and how old it is (RFC 9111 section 4.2)."""

from edge.cache.rules.lifetimes import NO_POLICY, LifetimePolicy
from edge.cache.rules.targeted import effective_directives, is_targeted
from edge.http.fields import Fields, parse_seconds
from smkex.http.semantics.dates import parse_http_date

HEURISTIC_FRACTION = 0.1  # of the time since Last-Modified, as RFC 9111 section 4.2.2 suggests
HEURISTIC_LIMIT = 86_400  # seconds: the longest that a change stays unseen without an explicit lifetime
# may be stored without the origin saying so (RFC 9110 section 15.1); 206 is left out: parts are not stored
HEURISTIC_STATUS = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
NEGATIVE_STATUS = frozenset({404, 405, 410, 414, 501})


def is_positive(status: int) -> bool:
    """Whether an operator's lifetime for content applies: to what may be stored by default, and is no error."""
    return status in HEURISTIC_STATUS and status not in NEGATIVE_STATUS


def has_explicit_lifetime(fields: Fields) -> bool:
    """Whether the origin states a freshness lifetime for shared caches."""
    control = effective_directives(fields)
    return "s-maxage" in control or "max-age" in control or _has_expires(fields)


def freshness_lifetime(
    status: int, fields: Fields, received_at: float, policy: LifetimePolicy = NO_POLICY
) -> float:
    """Seconds of freshness (RFC 9111 section 4.2.1): s-maxage, max-age, Expires, then a heuristic.

    An invalid value counts as stale. `policy` comes before what the origin says, or in place of the heuristic.
    """
    if policy.override is not None and is_positive(status):
        return policy.override
    control = effective_directives(fields)
    for name in ("s-maxage", "max-age"):
        if name in control:
            return float(parse_seconds(control[name]) or 0)
    written = _date_or(fields, received_at)
    if _has_expires(fields):
        expires = parse_http_date(fields["expires"])
        return 0.0 if expires is None else max(0.0, expires - written)
    return _heuristic_lifetime(status, fields, written, policy)


def _heuristic_lifetime(status: int, fields: Fields, written: float, policy: LifetimePolicy) -> float:
    if status not in HEURISTIC_STATUS and "public" not in effective_directives(fields):
        return 0.0
    if status in NEGATIVE_STATUS:
        return policy.negative
    if policy.default is not None and is_positive(status):
        return policy.default
    modified = parse_http_date(fields.get("last-modified"))
    if modified is None:
        return 0.0
    return min(max(0.0, written - modified) * HEURISTIC_FRACTION, HEURISTIC_LIMIT)


def initial_age(fields: Fields, requested_at: float, received_at: float) -> float:
    """Seconds of age on arrival (RFC 9111 section 4.2.3)."""
    apparent = max(0.0, received_at - _date_or(fields, received_at))
    # the first of several, without parameters: an invalid one is ignored (RFC 9111 section 5.1)
    value = fields.get("age", "").split(",")[0].split(";")[0].strip()
    return max(apparent, (parse_seconds(value) or 0) + received_at - requested_at)


def _has_expires(fields: Fields) -> bool:
    return "expires" in fields and not is_targeted(fields)


def _date_or(fields: Fields, otherwise: float) -> float:
    written = parse_http_date(fields.get("date"))
    return otherwise if written is None else written
