"""Decide whether a stored response may be reused: fresh, stale, or after validation (RFC 9111 section 4).

`no-cache`, `must-revalidate` and `proxy-revalidate` always forbid stale responses. `s-maxage` implies
`proxy-revalidate`, except for stale-while-revalidate and stale-if-error beside it, as CDNs interpret it.
"""

from dataclasses import dataclass
from enum import Enum

from edge.cache.rules.stored_response import StoredResponse
from edge.http.fields import DELTA_SECONDS_MAX, Fields, parse_directives, parse_seconds

SOFT_PURGE_SECONDS = 60  # that a response is served, while it is validated, after a soft purge


class Reuse(Enum):
    """What to do with a stored response."""

    SERVE = "serve"
    SERVE_AND_REVALIDATE = "serve stale, revalidate in the background"
    REVALIDATE = "revalidate first"


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is the parameter `fwd` of Cache-Status (RFC 9211 section 2.2) of the request to the origin."""

    reuse: Reuse
    reason: str


_SERVE = Decision(Reuse.SERVE, "")
_STALE = Decision(Reuse.REVALIDATE, "stale")
_REQUEST = Decision(Reuse.REVALIDATE, "request")


def request_directives(asked: Fields) -> dict[str, str]:
    """The request's directives; Pragma counts where there is no Cache-Control (RFC 9111 section 5.4)."""
    if "cache-control" in asked:
        return parse_directives(asked["cache-control"])
    return {"no-cache": ""} if "no-cache" in parse_directives(asked.get("pragma", "")) else {}


def requires_validation(asked: Fields) -> bool:
    """Whether the request accepts a stored response only after validation."""
    wanted = request_directives(asked)
    return "no-cache" in wanted or (parse_seconds(wanted.get("max-age")) == 0 and "max-stale" not in wanted)


def decide_reuse(entry: StoredResponse, asked: Fields, now: float) -> Decision:
    """Decide how a request that selects `entry` is answered."""
    wanted = request_directives(asked)
    if "no-cache" in entry.control:
        return _STALE
    if "no-cache" in wanted:
        return _REQUEST
    if wanted:
        oldest = parse_seconds(wanted.get("max-age"))
        if oldest is not None and entry.age(now) > oldest + _max_stale(wanted):
            return _REQUEST
        fresh_for = parse_seconds(wanted.get("min-fresh"))
        if fresh_for is not None and entry.fresh_until - now < fresh_for:
            return _REQUEST
    if now < entry.fresh_until:
        return _SERVE
    return _decide_stale(entry, wanted, now - entry.fresh_until)


def _decide_stale(entry: StoredResponse, wanted: dict[str, str], staleness: float) -> Decision:
    if _forbids_stale(entry):
        return _STALE
    grace = parse_seconds(entry.control.get("stale-while-revalidate")) or 0
    if entry.fresh_until == entry.purged_at:
        grace = max(grace, SOFT_PURGE_SECONDS)
    if staleness < grace:
        return Decision(Reuse.SERVE_AND_REVALIDATE, "stale")
    if "s-maxage" not in entry.control and staleness < _max_stale(wanted):
        return _SERVE
    return _STALE


def _max_stale(wanted: dict[str, str]) -> int:
    """Seconds of staleness that the client accepts (max-stale); without a number any."""
    if "max-stale" not in wanted:
        return 0
    return DELTA_SECONDS_MAX if wanted["max-stale"] == "" else parse_seconds(wanted["max-stale"]) or 0


def may_serve_on_error(entry: StoredResponse, asked: Fields, now: float) -> bool:
    """Whether a stale response may be served because the origin fails (RFC 5861 section 4)."""
    staleness = now - entry.fresh_until
    if _forbids_stale(entry):
        return False
    allowed = parse_seconds(entry.control.get("stale-if-error"))
    if allowed is None and "s-maxage" not in entry.control:
        allowed = parse_seconds(request_directives(asked).get("stale-if-error"))
    return allowed is not None and staleness < allowed


def _forbids_stale(entry: StoredResponse) -> bool:
    return bool(entry.control.keys() & {"no-cache", "must-revalidate", "proxy-revalidate"})
