"""Conditional and range requests (RFC 9110 sections 13 and 14) as functions of headers and validators."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both counted."""

    first: int
    last: int


class Unsatisfiable(Exception):
    """The range lies outside the file (416)."""


def not_modified(headers: dict[bytes, bytes], etag: str, modified: float) -> bool:
    """Whether the client's copy is still right. If-None-Match outweighs If-Modified-Since."""
    tags = headers.get(b"if-none-match")
    if tags is not None:
        return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in tags.decode("latin-1").split(","))
    since = _date(headers.get(b"if-modified-since"))
    return since is not None and modified <= since


def wanted_range(headers: dict[bytes, bytes], size: int, etag: str, modified: float) -> ByteRange | None:
    """The one range asked for; None: send all. Several ranges are answered with all, as is allowed.

    Raises `Unsatisfiable`.
    """
    value = headers.get(b"range")
    if value is None or not _if_range_holds(headers.get(b"if-range"), etag, modified):
        return None
    unit, _, spec = value.decode("latin-1").partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or "," in spec:
        return None
    if not (first + last).isascii() or not all(part == "" or part.isdigit() for part in (first, last)):
        return None
    if max(len(first), len(last)) > 19:
        raise Unsatisfiable
    if first == "":
        return _suffix(last, size)
    if int(first) >= size:
        raise Unsatisfiable
    if last and int(last) < int(first):
        return None
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)


def _suffix(length: str, size: int) -> ByteRange | None:
    if length == "":
        return None
    if int(length) == 0 or size == 0:
        raise Unsatisfiable
    return ByteRange(max(0, size - int(length)), size - 1)


def _if_range_holds(value: bytes | None, etag: str, modified: float) -> bool:
    if value is None:
        return True
    text = value.decode("latin-1").strip()
    return text == etag if text.startswith(('"', "W/")) else _date(value) == modified


def _date(value: bytes | None) -> float | None:
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
