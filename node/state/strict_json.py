"""JSON that another daemon wrote, read within RFC 8259's common ground: finite numbers, whole ones of 53 bits."""

import json
import math
from typing import Any, NoReturn

LARGEST_INTEGER = 2**53 - 1
DIGITS_LIMIT = 20  # of a whole number, with its sign


def parse_strictly(text: str) -> Any:
    """Return the value; raises ValueError, RecursionError.

    What Python takes beside it (NaN, Infinity, 1e999, integers of any size) ends elsewhere as an OverflowError, or as a
    comparison that holds for nothing.
    """
    return json.loads(
        text, parse_int=_parse_integer, parse_float=_parse_finite, parse_constant=_refuse_constant
    )


def _parse_integer(text: str) -> int:
    if len(text) > DIGITS_LIMIT or abs(number := int(text)) > LARGEST_INTEGER:
        raise ValueError(f"a whole number of more than 53 bits: {text[:DIGITS_LIMIT]}")
    return number


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {text[:DIGITS_LIMIT]}")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
