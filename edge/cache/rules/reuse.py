"""May a stored response answer a request: as it is, stale, or only once the origin confirms it (RFC 9111 section 4).

Stale responses: `no-cache`, `must-revalidate` and `proxy-revalidate` forbid them always. `s-maxage` implies
`proxy-revalidate`; but an origin that writes stale-while-revalidate or stale-if-error beside it means the two, as CDNs
read it.
"""

from dataclasses import dataclass
from enum import Enum

from edge.cache.entry import Entry
from edge.http.fields import LONGEST, Fields, directives, seconds


class Reuse(Enum):
    """What to do with a stored response."""

    SERVE = "serve"
    SERVE_AND_REVALIDATE = "serve stale, and ask the origin meanwhile"
    REVALIDATE = "ask the origin first"


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is the parameter `fwd` of Cache-Status (RFC 9211 section 2.2) where the origin is asked."""

    reuse: Reuse
    reason: str


_SERVE = Decision(Reuse.SERVE, "")
_STALE = Decision(Reuse.REVALIDATE, "stale")
_REQUEST = Decision(Reuse.REVALIDATE, "request")


def wishes(asked: Fields) -> dict[str, str]:
    """The request's directives; Pragma counts where there is no Cache-Control (RFC 9111 section 5.4)."""
    if "cache-control" in asked:
        return directives(asked["cache-control"])
    return {"no-cache": ""} if "no-cache" in directives(asked.get("pragma", "")) else {}


def insists(asked: Fields) -> bool:
    """Whether a request takes no stored response without the origin's confirmation."""
    wanted = wishes(asked)
    return "no-cache" in wanted or (seconds(wanted.get("max-age")) == 0 and "max-stale" not in wanted)


def decide(entry: Entry, asked: Fields, now: float) -> Decision:
    """Choose what becomes of a request that selects `entry`."""
    wanted = wishes(asked)
    if "no-cache" in entry.control:
        return _STALE
    if "no-cache" in wanted:
        return _REQUEST
    if wanted:
        oldest = seconds(wanted.get("max-age"))
        if oldest is not None and entry.age(now) > oldest + _stale_wanted(wanted):
            return _REQUEST
        fresh_for = seconds(wanted.get("min-fresh"))
        if fresh_for is not None and entry.fresh_until - now < fresh_for:
            return _REQUEST
    if now < entry.fresh_until:
        return _SERVE
    return _decide_stale(entry, wanted, now - entry.fresh_until)


def _decide_stale(entry: Entry, wanted: dict[str, str], staleness: float) -> Decision:
    if _forbids_stale(entry):
        return _STALE
    grace = seconds(entry.control.get("stale-while-revalidate"))
    if grace is not None and staleness < grace:
        return Decision(Reuse.SERVE_AND_REVALIDATE, "stale")
    if "s-maxage" not in entry.control and staleness < _stale_wanted(wanted):
        return _SERVE
    return _STALE


def _stale_wanted(wanted: dict[str, str]) -> int:
    """Seconds of staleness that the client takes (max-stale); without a number any."""
    if "max-stale" not in wanted:
        return 0
    return LONGEST if wanted["max-stale"] == "" else seconds(wanted["max-stale"]) or 0


def may_serve_on_error(entry: Entry, asked: Fields, now: float) -> bool:
    """Whether it may be served although it is stale, since the origin fails (RFC 5861 section 4)."""
    staleness = now - entry.fresh_until
    if _forbids_stale(entry):
        return False
    allowed = seconds(entry.control.get("stale-if-error"))
    if allowed is None and "s-maxage" not in entry.control:
        allowed = seconds(wishes(asked).get("stale-if-error"))
    return allowed is not None and staleness < allowed


def _forbids_stale(entry: Entry) -> bool:
    return bool(entry.control.keys() & {"no-cache", "must-revalidate", "proxy-revalidate"})
