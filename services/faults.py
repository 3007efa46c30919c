"""The faults of a document, each with the path of its field: `origins.0.url`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

WHOLE = "document"  # the path of a fault that no field has
Location = tuple[int | str, ...]
_ABSENT = object()
_FIELD_FIRST = re.compile(r"([a-z_]+): (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """What is wrong with a field."""

    field: str
    message: str


def list_faults(error: ValidationError, value: object) -> list[DocumentFault]:
    """Return all faults that `parse_document` found in a value."""
    found: dict[str, list[str]] = {}
    errors = error.errors(include_url=False, include_context=False)
    for each in errors:
        if each["type"] == "too_short" and _has_faulty_items(each["loc"], errors):
            continue
        path, at = _follow_path(each["loc"], value, missing=each["type"] == "missing")
        message = each["msg"].removeprefix("Value error, ")
        # a validator of a whole part names the field at fault in its message
        if isinstance(at, Mapping) and (named := _FIELD_FIRST.fullmatch(message)):
            path, message = (*path, named[1]), named[2]
        elif each["type"] == "extra_forbidden":
            message = "there is no such field"
        elif each["type"].startswith("union_tag"):
            path, message = (*path, "kind"), "neither http nor tcp"
        messages = found.setdefault(".".join(path) or WHOLE, [])
        if message not in messages:
            messages.append(message)
    return [DocumentFault(field, "; ".join(messages)) for field, messages in found.items()]


def _has_faulty_items(location: Location, errors: Sequence[ErrorDetails]) -> bool:
    """Return whether a list has items that were refused: pydantic does not count them, and finds it too short."""
    depth = len(location)
    return any(len(each["loc"]) > depth and each["loc"][:depth] == location for each in errors)


def _follow_path(location: Location, value: Any, *, missing: bool) -> tuple[tuple[str, ...], Any]:
    """Return the part of pydantic's location that the value has: the rest are its names for kinds and unions."""
    path: list[str] = []
    for number, part in enumerate(location):
        below = _item_of(value, part)
        if below is _ABSENT and number == 0 and not (missing and len(location) == 1):
            continue  # the kind
        if below is _ABSENT and not (missing and number == len(location) - 1):
            break
        value = below
        path.append(str(part))
    return tuple(path), value


def _item_of(value: Any, part: int | str) -> Any:
    match value:
        case Mapping():
            return value.get(part, _ABSENT)
        case list() | tuple() if isinstance(part, int) and part < len(value):
            return value[part]
    return _ABSENT
