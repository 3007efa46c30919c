"""Cut header fields into what the rules need: directives, seconds, dates (RFC 9110 section 5, RFC 9111 section 5.2)."""

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

Fields = Mapping[str, str]  # names in lower case; several lines of one field joined by ", "
Pairs = list[tuple[str, str]]

LONGEST = 2**31  # seconds: what larger numbers count as (RFC 9111 section 1.2.2)
_DIRECTIVE = re.compile(
    r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?\s*(?:,|$)""", re.DOTALL
)


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One value a field name; lists continue (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def directives(value: str) -> dict[str, str]:
    """Cut Cache-Control into its directives, names in lower case; of a repeated one the first counts.

    What cannot be read is passed over to the next comma.
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


def seconds(value: str | None) -> int | None:
    """A number of seconds; None where there is none or it is none."""
    if value is None or not (value.isascii() and value.isdigit()):
        return None
    return min(int(value), LONGEST) if len(value) < 12 else LONGEST


def date(value: str | None) -> float | None:
    """An HTTP date as seconds since the epoch; None where it is none."""
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def members(value: str) -> list[str]:
    """The members of a comma-separated list of tokens, in lower case."""
    return [part.strip().lower() for part in value.split(",") if part.strip()]
