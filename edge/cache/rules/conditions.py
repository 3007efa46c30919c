"""Conditions that a cache evaluates itself (RFC 9111 section 4.3.2, RFC 9110 section 13)."""

from edge.cache.entry import Entry
from edge.http.fields import Fields, date

FOR_THE_ORIGIN = ("if-match", "if-unmodified-since")  # a cache must not evaluate them: they go on
EVALUATED = ("if-none-match", "if-modified-since", "if-range", "range")
# what a 304 carries (RFC 9110 section 15.4.5), and what the cache adds
IN_304 = frozenset({"cache-control", "content-location", "date", "etag", "expires", "vary", "via"})
STRONG_AFTER = (
    60  # seconds between Last-Modified and Date that make a date a strong validator (RFC 9110 8.8.2.2)
)


def not_modified(entry: Entry, asked: Fields) -> bool:
    """Whether the client has the response already. If-None-Match outweighs If-Modified-Since."""
    if entry.status != 200:
        return False
    tags = asked.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or (entry.etag is not None and _weak(entry.etag) in _tags(tags))
    since = date(asked.get("if-modified-since"))
    if since is None:
        return False
    changed = entry.modified
    if changed is None:
        changed = date(entry.fields.get("date"))
    return changed is not None and changed <= since


def range_holds(entry: Entry, asked: Fields) -> bool:
    """Whether If-Range, where there is one, is true: by strong comparison (RFC 9110 section 13.1.5)."""
    value = asked.get("if-range")
    if value is None:
        return True
    if value.startswith(('"', "W/")):
        return not value.startswith("W/") and value == entry.etag
    written = date(entry.fields.get("date"))
    modified = entry.modified
    if modified is None or written is None or written - modified < STRONG_AFTER:
        return False
    return date(value) == modified


def validators(entry: Entry) -> dict[str, str]:
    """The condition under which the origin may answer 304 (RFC 9111 section 4.3.1)."""
    found = {}
    if entry.etag is not None:
        found["if-none-match"] = entry.etag
    if entry.modified is not None:
        found["if-modified-since"] = entry.fields["last-modified"]
    return found


def _tags(value: str) -> set[str]:
    return {_weak(tag.strip()) for tag in value.split(",")}


def _weak(tag: str) -> str:
    return tag.removeprefix("W/")
