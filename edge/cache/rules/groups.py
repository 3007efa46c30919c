"""Groups of an origin's responses, which it invalidates together (RFC 9875). A group is of one service and host."""

from edge.cache.rules.keys import host_of
from edge.http.fields import Fields
from edge.http.structured_fields import parse_strings

GROUPS_LIMIT = 64  # of one field, of which caches must support 32
GROUP_LIMIT = 256  # characters of one, of which caches must support 32
_MARK = "\x1f"  # in no tag of an origin: field values have no control characters


def group_tags(key: str, fields: Fields) -> list[str]:
    """Return the groups of a response to `key`, as tags in the index."""
    return _tags_of_list(key, fields.get("cache-groups"))


def invalidated_tags(key: str, fields: Fields) -> list[str]:
    """Return the groups that the response to an unsafe request for `key` invalidates, as tags in the index."""
    return _tags_of_list(key, fields.get("cache-group-invalidation"))


def _tags_of_list(key: str, value: str | None) -> list[str]:
    """Return none for an invalid field; what exceeds the limits is ignored."""
    groups = [group for group in parse_strings(value) or () if len(group) <= GROUP_LIMIT]
    return [f"{_MARK}{host_of(key)}{_MARK}{group}" for group in dict.fromkeys(groups[:GROUPS_LIMIT])]
