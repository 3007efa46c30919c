"""Byte ranges of a request (RFC 9110 section 14)."""

from dataclasses import dataclass
from itertools import pairwise

from smkex.http.semantics.integers import parse_integer

RANGES_LIMIT = 32  # of one request; more, or overlapping ones, are signs of an attack (section 17.15)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included, of a body of `size`."""

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
    """The requested ranges in the client's order; None: the field is ignored. Raises `RangeNotSatisfiable`."""
    if value is None:
        return None
    unit, equals, specs = value.partition("=")
    if unit.lower() != "bytes" or not equals:
        return None
    parts = [part.strip(" \t") for part in specs.split(",") if part.strip(" \t")]
    if not parts or len(parts) > RANGES_LIMIT:
        return None
    found = []
    for part in parts:
        bounds = parse_range_spec(part)
        if bounds is None or (bounds[0] is None and bounds[1] and not size):
            return (
                None  # the end of an empty body is satisfiable, and Content-Range cannot express it (14.1.2)
            )
        made = _clip_range(*bounds, size)
        if made is not None:
            found.append(made)
    if not found:
        raise RangeNotSatisfiable
    return None if _any_overlap(found) else found


def first_position(value: str) -> int | None:
    """Where the first requested range begins; None from the end of the body, and for anything invalid."""
    unit, _, specs = value.partition("=")
    bounds = parse_range_spec(specs.split(",")[0].strip(" \t")) if unit.lower() == "bytes" else None
    return None if bounds is None else bounds[0]


def parse_range_spec(part: str) -> tuple[int | None, int | None] | None:
    """Parse `first-last`, `first-` or `-length` to (first, last); None if invalid."""
    first, dash, last = part.partition("-")
    low, high = parse_integer(first), parse_integer(last)
    if not dash or (first and low is None) or (last and high is None) or not (first or last):
        return None
    return None if low is not None and high is not None and high < low else (low, high)


def _clip_range(first: int | None, last: int | None, size: int) -> ByteRange | None:
    if first is None:
        return ByteRange(max(0, size - last), size - 1, size) if last and size else None
    if first >= size:
        return None
    return ByteRange(first, min(last, size - 1) if last is not None else size - 1, size)


def _any_overlap(ranges: list[ByteRange]) -> bool:
    if len(ranges) == 1:
        return False
    ordered = sorted(ranges, key=lambda one: one.first)
    return any(later.first <= earlier.last for earlier, later in pairwise(ordered))
