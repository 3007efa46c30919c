"""Parse header fields: lists, directives, seconds (RFC 9110 section 5, RFC 9111 section 5.2)."""

import re
from collections.abc import Iterable, Mapping

from smkex.http.semantics.integers import parse_integer

Fields = Mapping[str, str]  # names in lower case; several lines of one field joined by ", "
Pairs = list[tuple[str, str]]

DELTA_SECONDS_MAX = 2**31  # seconds: larger numbers count as this (RFC 9111 section 1.2.2)
_DIRECTIVE = re.compile(
    r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?\s*(?:,|$)""", re.DOTALL
)


def combine_fields(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join the lines of each field name with ", " (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def parse_directives(value: str) -> dict[str, str]:
    """Parse Cache-Control into directives, names in lower case; the first of a repeated one counts.

    Text that is not a directive is skipped to the next comma.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(value):
        match = _DIRECTIVE.match(value, at)
        if match is None:
            comma = value.find(",", at)
            at = len(value) if comma < 0 else comma + 1
            continue
        name, quoted, plain = match.groups()
        found.setdefault(name.lower(), quoted if quoted is not None else plain or "")
        at = match.end()
    return found


def parse_seconds(value: str | None) -> int | None:
    """Parse delta-seconds; None if absent or invalid."""
    number = parse_integer(value)
    return None if number is None else min(number, DELTA_SECONDS_MAX)


def list_members(value: str) -> list[str]:
    """Members of a comma-separated list of tokens, in lower case."""
    return [part.strip().lower() for part in value.split(",") if part.strip()]
