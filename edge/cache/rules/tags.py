"""Names by which an origin groups responses, to purge them together: Cache-Tag and Surrogate-Key."""

from edge.http.fields import Fields

FIELDS = frozenset({"cache-tag", "surrogate-key"})  # between origin and edge: clients are not given them
TAGS_LIMIT = 64  # of one response
TAG_LIMIT = 256  # characters


def tags_of(fields: Fields) -> list[str]:
    """The tags of a response: Cache-Tag is cut at commas, Surrogate-Key at white space."""
    named = [tag.strip() for tag in fields.get("cache-tag", "").split(",")]
    # a second line of Surrogate-Key is joined to the first by a comma
    named += fields.get("surrogate-key", "").replace(",", " ").split()
    return sorted({tag for tag in named if tag and len(tag) <= TAG_LIMIT})[:TAGS_LIMIT]
