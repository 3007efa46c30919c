"""Conditions that a cache evaluates itself (RFC 9111 section 4.3.2, RFC 9110 section 13)."""

from edge.cache.rules.stored_response import StoredResponse
from edge.http.fields import Fields, parse_date

ORIGIN_CONDITIONS = ("if-match", "if-unmodified-since")  # a cache must not evaluate these: forward them
CACHE_CONDITIONS = ("if-none-match", "if-modified-since", "if-range", "range")
# what a 304 carries (RFC 9110 section 15.4.5), and what the cache adds
NOT_MODIFIED_FIELDS = frozenset(
    {"cache-control", "content-location", "date", "etag", "expires", "vary", "via"}
)
# seconds between Last-Modified and Date that make a date a strong validator (RFC 9110 8.8.2.2)
STRONG_DATE_SECONDS = 60


def is_not_modified(entry: StoredResponse, asked: Fields) -> bool:
    """Whether the client already has the response. If-None-Match takes precedence over If-Modified-Since."""
    if entry.status != 200:
        return False
    tags = asked.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or (entry.etag is not None and _weak(entry.etag) in _tags(tags))
    since = parse_date(asked.get("if-modified-since"))
    if since is None:
        return False
    changed = entry.modified
    if changed is None:
        changed = parse_date(entry.fields.get("date"))
    return changed is not None and changed <= since


def if_range_matches(entry: StoredResponse, asked: Fields) -> bool:
    """Whether If-Range, where there is one, is true: by strong comparison (RFC 9110 section 13.1.5)."""
    value = asked.get("if-range")
    if value is None:
        return True
    if value.startswith(('"', "W/")):
        return not value.startswith("W/") and value == entry.etag
    written = parse_date(entry.fields.get("date"))
    modified = entry.modified
    if modified is None or written is None or written - modified < STRONG_DATE_SECONDS:
        return False
    return parse_date(value) == modified


def revalidation_headers(entry: StoredResponse) -> dict[str, str]:
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
