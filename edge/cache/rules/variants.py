"""Select among the stored responses of one URL (RFC 9111 section 4.1)."""

import re

from edge.http.fields import Fields, list_members

Variant = tuple[tuple[str, str | None], ...]  # the fields that Vary names, with the request's values
_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|\s*,\s*', re.DOTALL)
_NO_QUALITY = re.compile(r"0(?:\.0{0,3})?")


def variant_of(vary: str, asked: Fields) -> Variant:
    """Normalized values of the request in the fields that the response varies on."""
    return tuple((name, normalize_value(name, asked.get(name))) for name in sorted(set(list_members(vary))))


def variant_matches(variant: Variant, asked: Fields) -> bool:
    """Whether the request selects the response stored with `variant`."""
    return all(normalize_value(name, asked.get(name)) == value for name, value in variant)


def normalize_value(name: str, value: str | None) -> str | None:
    """A field's value without what has no meaning: white space, also around commas; Accept-Encoding as its class."""
    if value is None:
        return None
    if name == "accept-encoding":
        return _coding_class(value)
    parts = _COMMA.sub(lambda found: found[1] or ",", value)
    return " ".join(parts.split()).strip(",")


def _coding_class(value: str) -> str:
    """The acceptable codings, sorted: a response in any of them may be sent, whatever their order of preference.

    `identity` is acceptable unless refused, which is written as "!identity"; `*` stands for all that are not named.
    """
    accepted: set[str] = set()
    refused: set[str] = set()
    for member in list_members(value):
        coding, *parameters = (part.strip() for part in member.split(";"))
        quality = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        coding = coding.removeprefix("x-") if coding in ("x-gzip", "x-compress") else coding
        (refused if _NO_QUALITY.fullmatch(quality) else accepted).add(coding)
    named = [coding for coding in accepted - refused if coding != "identity"]
    # a refusal means something only where it takes away what would be accepted without it
    named += [f"!{coding}" for coding in refused if coding == "identity" or "*" in accepted]
    if "*" in refused and "identity" not in accepted | refused:
        named.append("!identity")
    return ",".join(sorted(named))
