"""Conditional requests (RFC 9110 section 13): entity-tags, and the preconditions of a request against validators."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from smkex.http.semantics.dates import parse_http_date

Fields = Mapping[str, str]  # names in lower case; several lines of one field joined by ", "
# an entity-tag, or what servers in the field write without quotes; commas within quotes belong to the tag
_TAG = re.compile(r'(W/)?("[^"]*"|[^",\s]+)')
_LISTED = re.compile(r'(?:"[^"]*"|[^",])+')


@dataclass(frozen=True, slots=True)
class EntityTag:
    """`opaque` with its quotes."""

    opaque: str
    weak: bool = False

    @classmethod
    def parse(cls, text: str | None) -> "EntityTag | None":
        """Parse one tag; None if absent or invalid."""
        match = _TAG.fullmatch(text.strip(" \t")) if text is not None else None
        return cls(match[2], match[1] is not None) if match is not None else None

    def matches_strongly(self, other: "EntityTag") -> bool:
        """Compare strongly (RFC 9110 section 8.8.3.2): both are strong and equal."""
        return not self.weak and not other.weak and self.opaque == other.opaque

    def matches_weakly(self, other: "EntityTag") -> bool:
        return self.opaque == other.opaque


@dataclass(frozen=True, slots=True)
class Validators:
    """Validators of a representation; `modified` in seconds since the epoch.

    `modified_is_strong`: it cannot have changed twice within that second (RFC 9110 section 8.8.2.2).
    """

    etag: EntityTag | None = None
    modified: float | None = None
    modified_is_strong: bool = False


class Precondition(Enum):
    """Result of a request's preconditions."""

    PROCEED = auto()
    NOT_MODIFIED = auto()  # 304
    FAILED = auto()  # 412


def evaluate_preconditions(asked: Fields, method: str, current: Validators) -> Precondition:
    """Evaluate all preconditions of a request in the order of RFC 9110 section 13.2.2, If-Range excepted."""
    if "if-match" in asked:
        if not _lists_tag(asked["if-match"], current.etag, strongly=True):
            return Precondition.FAILED
    else:
        since = parse_http_date(asked.get("if-unmodified-since"))
        if since is not None and (current.modified is None or current.modified > since):
            return Precondition.FAILED
    if is_not_modified(asked, current):
        if method in ("GET", "HEAD"):
            return Precondition.NOT_MODIFIED
        if "if-none-match" in asked:
            return Precondition.FAILED
    return Precondition.PROCEED


def is_not_modified(asked: Fields, current: Validators) -> bool:
    """Whether If-None-Match, else If-Modified-Since, says that the client has the current representation."""
    if "if-none-match" in asked:
        return _lists_tag(asked["if-none-match"], current.etag, strongly=False)
    since = parse_http_date(asked.get("if-modified-since"))
    return since is not None and current.modified is not None and current.modified <= since


def if_range_matches(asked: Fields, current: Validators) -> bool:
    """Whether If-Range is absent or true, by strong comparison (RFC 9110 section 13.1.5)."""
    value = asked.get("if-range")
    if value is None:
        return True
    since = parse_http_date(value)
    if since is not None:
        return current.modified_is_strong and since == current.modified
    tag = EntityTag.parse(value)
    return tag is not None and current.etag is not None and tag.matches_strongly(current.etag)


def _lists_tag(value: str, etag: EntityTag | None, *, strongly: bool) -> bool:
    if value.strip(" \t") == "*":
        return True
    if etag is None:
        return False
    # a member that is no tag, such as w/"1", matches nothing, and no part of it does
    listed = [tag for part in _LISTED.findall(value) if (tag := EntityTag.parse(part)) is not None]
    return any(etag.matches_strongly(tag) if strongly else etag.matches_weakly(tag) for tag in listed)
