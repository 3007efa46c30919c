"""Structured field values (RFC 9651): lists and dictionaries. Parameters are checked and dropped."""

import re
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Token(str):
    """A token; strings are plain `str`."""

    __slots__ = ()


BareItem = int | float | str | bytes | bool  # a date is its number of seconds
Member = BareItem | tuple[BareItem, ...]  # a tuple is an inner list

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*", re.ASCII)
_PARAMETER = re.compile(r"; *")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_SPACES = re.compile(r" *")
_ESCAPED = re.compile(r"\\(.)")
_NUMBER = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])|-?[0-9]{1,15}(?![0-9.])", re.ASCII)
# each form of an item by how it begins, and what it stands for
_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], BareItem]], ...] = (
    (_NUMBER, lambda text: float(text) if "." in text else int(text)),
    (re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])*"'), lambda text: _ESCAPED.sub(r"\1", text[1:-1])),
    (re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"), Token),
    (re.compile(r":[A-Za-z0-9+/=]*:"), lambda text: text[1:-1].encode("ascii")),
    (re.compile(r"\?[01]"), lambda text: text == "?1"),
    (re.compile(r"@-?[0-9]{1,15}(?![0-9.])"), lambda text: int(text[1:])),
    (re.compile(r'%"(?:[ !#$&-~]|%[0-9a-f]{2})*"'), lambda text: text[2:-1]),
)


def parse_list(value: str) -> list[Member]:
    """Parse a list. Raises `ValueError`."""
    return _Parser(value).parse_members(_Parser.parse_member)


def parse_dictionary(value: str) -> dict[str, Member]:
    """Parse a dictionary; the last of a repeated key counts. Raises `ValueError`."""
    return dict(_Parser(value).parse_members(_Parser.parse_pair))


def parse_strings(value: str | None) -> list[str] | None:
    """Parse a list of strings; None if absent, invalid, or with a member of another type."""
    try:
        members = parse_list(value) if value is not None else None
    except ValueError:
        return None
    return None if members is None else strings_of(tuple(members))  # type: ignore[arg-type]


def strings_of(members: Member) -> list[str] | None:
    """Return the strings of an inner list; None for anything else."""
    if not isinstance(members, tuple):
        return None
    found = [one for one in members if isinstance(one, str) and not isinstance(one, Token)]
    return found if len(found) == len(members) else None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text.strip(" ")
        self._at = 0

    def parse_members(self, parse: Callable[["_Parser"], T]) -> list[T]:
        found: list[T] = []
        while self._at < len(self._text):
            if found and (self._take(_COMMA) is None or self._at == len(self._text)):
                raise ValueError("no comma between members, or one behind the last")
            found.append(parse(self))
        return found

    def parse_pair(self) -> tuple[str, Member]:
        key = self._parse_key()
        if self._takes("="):
            return key, self.parse_member()
        self._skip_parameters()
        return key, True

    def parse_member(self) -> Member:
        member = self._parse_inner_list() if self._takes("(") else self._parse_item()
        self._skip_parameters()
        return member

    def _parse_inner_list(self) -> tuple[BareItem, ...]:
        found: list[BareItem] = []
        while True:
            spaces = self._take(_SPACES)
            if self._takes(")"):
                return tuple(found)
            if found and not spaces:
                raise ValueError("no space between items")
            found.append(self._parse_item())
            self._skip_parameters()

    def _parse_item(self) -> BareItem:
        for pattern, convert in _FORMS:
            text = self._take(pattern)
            if text is not None:
                return convert(text)
        raise ValueError(f"not an item: {self._text[self._at :][:40]!r}")

    def _skip_parameters(self) -> None:
        while self._take(_PARAMETER) is not None:
            self._parse_key()
            if self._takes("="):
                self._parse_item()

    def _parse_key(self) -> str:
        key = self._take(_KEY)
        if key is None:
            raise ValueError(f"not a key: {self._text[self._at :][:40]!r}")
        return key

    def _takes(self, character: str) -> bool:
        found = self._text.startswith(character, self._at)
        self._at += found
        return found

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match[0]
