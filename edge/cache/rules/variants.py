"""Select among the stored responses of one URL (RFC 9111 section 4.1)."""

from edge.http.fields import Fields, list_members

Variant = tuple[tuple[str, str | None], ...]  # the fields that Vary names, with the request's values


def variant_of(vary: str, asked: Fields) -> Variant:
    """Normalized values of the request in the fields that the response varies on."""
    return tuple((name, normalize_value(name, asked.get(name))) for name in sorted(set(list_members(vary))))


def variant_matches(variant: Variant, asked: Fields) -> bool:
    """Whether the request selects the response stored with `variant`."""
    return all(normalize_value(name, asked.get(name)) == value for name, value in variant)


def normalize_value(name: str, value: str | None) -> str | None:
    """A field's value without what means nothing: white space, and of the codings the order and case."""
    if value is None:
        return None
    if name == "accept-encoding":
        return ",".join(sorted("".join(part.split()) for part in list_members(value)))
    return " ".join(value.split())
