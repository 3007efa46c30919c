"""What of a URL's query selects no other response: No-Vary-Search (draft-ietf-httpbis-no-vary-search).

A response with the field is stored under its URL in the canonical form that the field defines: all URLs that are
equivalent for it have this form in common. Where the field is invalid or exceeds the limits the whole URL counts.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from edge.cache.rules.keys import path_of
from edge.http.structured_fields import Member, parse_dictionary, strings_of

NAMES_LIMIT = 64  # of one field
NAME_LIMIT = 128  # characters of one
PARAMETERS_LIMIT = 256  # of a query; one with more is equivalent to no other
_MARK = "\x1d"  # in no tag of an origin: field values have no control characters


@dataclass(frozen=True, slots=True)
class SearchVariance:
    """Parameters `named` do not count, or with `only` no others do; their order counts unless `any_order`."""

    named: tuple[bytes, ...] = ()
    only: bool = False
    any_order: bool = False

    @classmethod
    def parse(cls, value: str | None) -> "SearchVariance | None":
        """Parse the field; None where the whole query counts. Unknown members are ignored."""
        try:
            members = parse_dictionary(value or "")
        except ValueError:
            return None
        order = members.get("key-order", False)
        params = members.get("params", False)
        kept = members.get("except")
        if not isinstance(order, bool) or (kept is not None and params is not True):
            return None
        only = params is True
        names = (
            _parse_names(() if params is False else params)
            if not only
            else _parse_names(() if kept is None else kept)
        )
        if names is None or not (only or names or order):
            return None
        return cls(names, only, order)

    def canonical_key(self, key: str) -> str:
        """Return the key of the form that all equivalent URLs have in common."""
        host, target, *rest = key.split(" ", 2)
        path, _, query = target.partition("?")
        if query.count("&") >= PARAMETERS_LIMIT:
            return key
        pairs = [_decode_parameter(parameter) for parameter in query.split("&") if parameter]
        pairs = [pair for pair in pairs if (pair[0] in self.named) is self.only]
        if self.any_order:
            pairs.sort(key=lambda pair: pair[0])
        kept = "&".join(f"{quote_from_bytes(name, '')}={quote_from_bytes(text, '')}" for name, text in pairs)
        return " ".join((host, f"{path}?{kept}" if kept else path, *rest))

    def tag(self, key: str) -> str:
        """Return this as a tag in the index, of a response stored under `key`."""
        text = json.dumps([[name.decode("latin-1") for name in self.named], self.only, self.any_order])
        return _first_tag(key) + text


def tag_range(key: str) -> tuple[str, str]:
    """Return the half-open range of the tags of responses with the path of `key`."""
    first = _first_tag(key)
    return first, first[:-1] + chr(ord(_MARK) + 1)


def variance_of_tag(tag: str) -> SearchVariance:
    """Return what `SearchVariance.tag` wrote."""
    named, only, any_order = json.loads(tag.rpartition(_MARK)[2])
    return SearchVariance(tuple(name.encode("latin-1") for name in named), only, any_order)


def _first_tag(key: str) -> str:
    return f"{_MARK}{path_of(key)}{_MARK}"


def _parse_names(members: Member) -> tuple[bytes, ...] | None:
    names: Iterable[str] | None = strings_of(members)
    if names is None:
        return None
    found = sorted({_decode_text(name) for name in names})
    if len(found) > NAMES_LIMIT or any(len(name) > NAME_LIMIT for name in found):
        return None
    return tuple(found)


def _decode_parameter(parameter: str) -> tuple[bytes, bytes]:
    name, _, text = parameter.partition("=")
    return _decode_text(name), _decode_text(text)


def _decode_text(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))
