"""Tags of stored responses: those by which the origin groups them for purges, and those that the rules make."""

from edge.cache.rules.groups import group_tags
from edge.cache.rules.search_variance import SearchVariance
from edge.http.fields import Fields

# between origin and edge: removed from responses to clients
TAG_FIELDS = frozenset({"cache-tag", "surrogate-key"})
TAGS_LIMIT = 64  # of one response
TAG_LIMIT = 256  # characters


def parse_tags(fields: Fields) -> list[str]:
    """The tags of a response: Cache-Tag is separated by commas, Surrogate-Key by white space."""
    named = [tag.strip() for tag in fields.get("cache-tag", "").split(",")]
    # a second line of Surrogate-Key is joined to the first by a comma
    named += fields.get("surrogate-key", "").replace(",", " ").split()
    return sorted({tag for tag in named if tag and len(tag) <= TAG_LIMIT})[:TAGS_LIMIT]


def index_tags(key: str, fields: Fields) -> list[str]:
    """All tags of a response stored under `key`, as the index has them."""
    variance = SearchVariance.parse(fields.get("no-vary-search"))
    return (
        parse_tags(fields) + group_tags(key, fields) + ([variance.tag(key)] if variance is not None else [])
    )
