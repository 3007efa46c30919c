"""Whole numbers in bodies: neither true nor "1" passes for 1, and every reader of JSON reads them alike."""

from typing import Annotated

from pydantic import BeforeValidator, Field

LARGEST_NUMBER = 2**53 - 1  # RFC 8259, section 6


def _number_only(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("not a whole number")
    return value


Whole = BeforeValidator(_number_only)  # stands last, so that the bounds before it are in the JSON schema
Count = Annotated[int, Field(ge=0, le=LARGEST_NUMBER), Whole]
