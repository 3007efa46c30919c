"""Whether a 304 validates a stored response (RFC 9111 section 4.3.4)."""

from edge.cache.rules.search_variance import SearchVariance
from edge.cache.rules.stored_response import StoredResponse, merge_headers
from edge.cache.rules.storing import storage_obstacle
from edge.http.fields import Fields, Pairs, combine_fields, list_members
from smkex.http.semantics.conditions import EntityTag


def confirms_stored(stored: StoredResponse, headers: Pairs) -> bool:
    """Whether a 304 validates the stored response and keeps it storable for the same requests."""
    if not _validators_match(stored, combine_fields(headers)):
        return False
    fields = combine_fields(merge_headers(stored.headers, headers))
    varies = set(list_members(fields.get("vary", ""))) != {name for name, _ in stored.variant}
    if SearchVariance.parse(fields.get("no-vary-search")) != SearchVariance.parse(
        stored.fields.get("no-vary-search")
    ):
        return False  # it is stored under the form of its URL that the field defines
    return not varies and storage_obstacle("GET", {}, stored.status, fields) is None


def _validators_match(stored: StoredResponse, fresh: Fields) -> bool:
    """Compare the validators of a 304 with the stored ones (RFC 9111 section 4.3.4)."""
    etag = EntityTag.parse(fresh.get("etag"))
    if etag is None:
        return True  # it answers our condition, and nothing in it contradicts
    kept = EntityTag.parse(stored.etag)
    if kept is not None:
        return etag.matches_weakly(kept) and (etag.weak or not kept.weak)
    return (
        etag.weak
        and "last-modified" in fresh
        and fresh["last-modified"] == stored.fields.get("last-modified")
    )
