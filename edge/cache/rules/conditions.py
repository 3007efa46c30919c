"""Conditions that a cache evaluates itself (RFC 9111 section 4.3.2, RFC 9110 section 13)."""

from edge.cache.rules.stored_response import StoredResponse
from edge.http.fields import Fields
from smkex.http.semantics import conditions
from smkex.http.semantics.conditions import EntityTag, Validators
from smkex.http.semantics.dates import parse_http_date

ORIGIN_CONDITIONS = ("if-match", "if-unmodified-since")  # a cache must not evaluate these: forward them
CACHE_CONDITIONS = ("if-none-match", "if-modified-since", "if-range", "range")
# what a 304 carries (RFC 9110 section 15.4.5), and what the cache adds
NOT_MODIFIED_FIELDS = frozenset(
    {"cache-control", "content-location", "date", "etag", "expires", "vary", "via"}
)
# seconds between Last-Modified and Date that make a date a strong validator (RFC 9110 section 8.8.2.2)
STRONG_DATE_SECONDS = 60


def is_not_modified(entry: StoredResponse, asked: Fields) -> bool:
    """Whether the client already has the response. Without Last-Modified, Date counts as the time of change."""
    if entry.status != 200:
        return False
    modified = entry.modified
    if modified is None:
        modified = parse_http_date(entry.fields.get("date"))
    return conditions.is_not_modified(asked, Validators(EntityTag.parse(entry.etag), modified))


def if_range_matches(entry: StoredResponse, asked: Fields) -> bool:
    """Whether If-Range is absent or true, by strong comparison."""
    written, modified = parse_http_date(entry.fields.get("date")), entry.modified
    is_strong = written is not None and modified is not None and written - modified >= STRONG_DATE_SECONDS
    return conditions.if_range_matches(asked, Validators(EntityTag.parse(entry.etag), modified, is_strong))


def revalidation_headers(entry: StoredResponse) -> dict[str, str]:
    """The condition under which the origin may answer 304 (RFC 9111 section 4.3.1)."""
    found = {}
    if entry.etag is not None:
        found["if-none-match"] = entry.etag
    if entry.modified is not None:
        found["if-modified-since"] = entry.fields["last-modified"]
    return found
