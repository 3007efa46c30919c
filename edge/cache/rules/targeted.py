"""CDN-Cache-Control: cache directives for CDNs alone, in place of Cache-Control and Expires (RFC 9213)."""

from edge.cache.rules.tags import TAG_FIELDS
from edge.http.fields import Fields, parse_directives
from edge.http.structured_fields import Member, parse_dictionary

# between origin and CDN: removed from responses to clients
CDN_FIELDS = TAG_FIELDS | {"cdn-cache-control", "surrogate-control"}
_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})


def effective_directives(fields: Fields) -> dict[str, str]:
    """The response's directives for this cache: CDN-Cache-Control if valid and not empty, else Cache-Control."""
    targeted = parse_targeted(fields.get("cdn-cache-control"))
    return parse_directives(fields.get("cache-control", "")) if targeted is None else targeted


def is_targeted(fields: Fields) -> bool:
    """Whether CDN-Cache-Control counts, and Cache-Control and Expires do not."""
    return parse_targeted(fields.get("cdn-cache-control")) is not None


def parse_targeted(value: str | None) -> dict[str, str] | None:
    """Parse a targeted field; None if absent, empty or invalid. Directives with a value of another type are ignored.

    Values other than strings, tokens and numbers are left out.
    """
    try:
        members = parse_dictionary(value or "")
    except ValueError:
        return None
    return (
        {name: _text_of_member(member) for name, member in members.items() if _is_effective(name, member)}
        if members
        else None
    )


def _is_effective(name: str, member: Member) -> bool:
    if name in _SECONDS:
        return type(member) is int and member >= 0
    return member is not False


def _text_of_member(member: Member) -> str:
    return str(member) if isinstance(member, int | str) and member is not True else ""
