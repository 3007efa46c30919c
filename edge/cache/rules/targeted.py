"""CDN-Cache-Control: cache directives for CDNs alone, in place of Cache-Control and Expires (RFC 9213)."""

import re

from edge.cache.rules.tags import TAG_FIELDS
from edge.http.fields import Fields, parse_directives

# between origin and CDN: removed from responses to clients
CDN_FIELDS = TAG_FIELDS | {"cdn-cache-control", "surrogate-control"}
_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
# a dictionary of structured fields (RFC 9651 section 3.2), inner lists and parameters unread
_KEY = r"[a-z*][a-z0-9_.*-]*"
_ITEM = (
    r'-?[0-9]{1,15}(?:\.[0-9]{1,3})?|"(?:[ !#-\[\]-~]|\\["\\])*"|:[A-Za-z0-9+/=]*:|\?[01]'
    r"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"
)
_MEMBER = re.compile(rf"({_KEY})(?:=({_ITEM}|\([^()]*\)))?(?:; *{_KEY}(?:=(?:{_ITEM}))?)*", re.ASCII)
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def effective_directives(fields: Fields) -> dict[str, str]:
    """The response's directives for this cache: CDN-Cache-Control if valid and not empty, else Cache-Control."""
    targeted = parse_targeted(fields.get("cdn-cache-control"))
    return parse_directives(fields.get("cache-control", "")) if targeted is None else targeted


def is_targeted(fields: Fields) -> bool:
    """Whether CDN-Cache-Control counts, and Cache-Control and Expires do not."""
    return parse_targeted(fields.get("cdn-cache-control")) is not None


def parse_targeted(value: str | None) -> dict[str, str] | None:
    """Parse a targeted field; None if absent, empty or invalid. Directives with a value of another type are ignored."""
    text = (value or "").strip(" ")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        member = _MEMBER.match(text, at)
        if member is None:
            return None
        _add_directive(found, member[1], member[2])
        at = member.end()
        if at < len(text):
            comma = _COMMA.match(text, at)
            if comma is None or comma.end() == len(text):
                return None
            at = comma.end()
    return found if text else None


def _add_directive(found: dict[str, str], name: str, value: str | None) -> None:
    if name in _SECONDS and not (value is not None and value.isdigit()):
        return
    if value == "?0":
        found.pop(name, None)
    else:
        found[name] = "" if value is None or value == "?1" else value.strip('"')
