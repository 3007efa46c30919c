"""Which bytes a Range asks for, and how several are wrapped (RFC 9110 section 14)."""

import secrets
from dataclasses import dataclass
from itertools import pairwise

RANGES_LIMIT = 32  # of one request; more, or overlapping ones, are signs of an attack (section 17.15)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both counted, of a body of `size`."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.size}"


class RangeNotSatisfiable(Exception):
    """No range lies within the body (416)."""


def parse_ranges(value: str | None, size: int) -> list[ByteRange] | None:
    """The ranges asked for, in the client's order; None: the field is to be ignored. Raises `Unsatisfiable`."""
    if value is None:
        return None
    unit, equals, specs = value.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    parts = [part.strip() for part in specs.split(",") if part.strip()]
    if not parts or len(parts) > RANGES_LIMIT:
        return None
    found = []
    for part in parts:
        bounds = _parse_bounds(part)
        if bounds is None:
            return None
        made = _clip_range(*bounds, size)
        if made is not None:
            found.append(made)
    if not found:
        raise RangeNotSatisfiable
    return None if _any_overlap(found) else found


def _parse_bounds(part: str) -> tuple[int | None, int | None] | None:
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    if not dash or not (first or last) or not (first + last).isascii() or not (first + last).isdigit():
        return None
    low, high = (int(text[:20]) if text else None for text in (first, last))
    return None if low is not None and high is not None and high < low else (low, high)


def _clip_range(first: int | None, last: int | None, size: int) -> ByteRange | None:
    if first is None:
        assert last is not None
        return ByteRange(max(0, size - last), size - 1, size) if last and size else None
    if first >= size:
        return None
    return ByteRange(first, min(last, size - 1) if last is not None else size - 1, size)


def _any_overlap(ranges: list[ByteRange]) -> bool:
    if len(ranges) == 1:
        return False
    ordered = sorted(ranges, key=lambda one: one.first)
    return any(later.first <= earlier.last for earlier, later in pairwise(ordered))


@dataclass(frozen=True, slots=True)
class Multipart:
    """The wrapping of several ranges as multipart/byteranges (section 14.6)."""

    ranges: list[ByteRange]
    media_type: str | None
    boundary: str

    @classmethod
    def of(cls, ranges: list[ByteRange], media_type: str | None) -> "Multipart":
        return cls(ranges, media_type, secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"

    def head(self, part: ByteRange) -> bytes:
        media = f"Content-Type: {self.media_type}\r\n" if self.media_type else ""
        return f"\r\n--{self.boundary}\r\n{media}Content-Range: {part.content_range}\r\n\r\n".encode(
            "latin-1"
        )

    @property
    def tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()

    @property
    def length(self) -> int:
        return sum(len(self.head(part)) + part.length for part in self.ranges) + len(self.tail)
