"""Tags by which the origin groups responses for purges: Cache-Tag and Surrogate-Key."""

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
