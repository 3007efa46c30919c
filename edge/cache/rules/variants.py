"""Which of several stored responses to one URL a request selects (RFC 9111 section 4.1)."""

from edge.http.fields import Fields, members

Variant = tuple[tuple[str, str | None], ...]  # the fields that Vary names, with the request's values


def variant_of(vary: str, asked: Fields) -> Variant:
    """What the request that brought a response said in the fields that the response varies on."""
    return tuple((name, normal(name, asked.get(name))) for name in sorted(set(members(vary))))


def selects(variant: Variant, asked: Fields) -> bool:
    """Whether a request may be given the response stored with `variant`."""
    return all(normal(name, asked.get(name)) == value for name, value in variant)


def normal(name: str, value: str | None) -> str | None:
    """A field's value without what means nothing: white space, and of the codings the order and case."""
    if value is None:
        return None
    if name == "accept-encoding":
        return ",".join(sorted("".join(part.split()) for part in members(value)))
    return " ".join(value.split())
