"""Whole numbers in bodies: neither true nor "1" passes for 1, and every reader of JSON reads them alike."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.published import EPOCH_SHIFT

LARGEST_NUMBER = 2**53 - 1  # RFC 8259, section 6
# Numbers that clients hold (generations, purges, Fast Open keys) only grow, also when the database goes back: their
# high bits are an epoch, which grows whenever that happens. Epochs are minutes since 1970, or 0 before the first one.
MINUTE = 60.0


def epoch_of(number: int) -> int:
    """Return the epoch of a number that clients hold."""
    return number >> EPOCH_SHIFT


def next_number(newest: int, epoch: int) -> int:
    """Return the number after `newest`, in this epoch or in the one of `newest` if that is greater."""
    return max(newest + 1, (epoch << EPOCH_SHIFT) + 1)


def next_epoch_start(newest: int, epoch: int, seconds: float) -> int:
    """Return the start of an epoch, `epoch` or a newer one, that comes after `newest`; `seconds` since 1970."""
    return (epoch if epoch > epoch_of(newest) else epoch_after(newest, seconds)) << EPOCH_SHIFT


def is_epoch_start(number: int) -> bool:
    """Return whether nothing is counted in the number's epoch yet, as in 0."""
    return number % (1 << EPOCH_SHIFT) == 0


def epoch_after(number: int, seconds: float) -> int:
    """Return an epoch greater than the number's; `seconds` since 1970."""
    return max(epoch_of(number) + 1, int(seconds / MINUTE))


def describe_number(number: int) -> str:
    """Return a number as people read it: `12`, or `12@29733120` with its epoch."""
    count = number & ((1 << EPOCH_SHIFT) - 1)
    return f"{count}@{epoch_of(number)}" if epoch_of(number) else str(count)


def parse_number(text: str) -> int:
    """Parse what `describe_number` returns; ValueError for anything else."""
    count, _, epoch = text.partition("@")
    if not (count.isdecimal() and (epoch or "0").isdecimal()):
        raise ValueError(f"not a number with an epoch: {text}")
    return (int(epoch or "0") << EPOCH_SHIFT) + int(count)


def _number_only(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("not a whole number")
    return value


Whole = BeforeValidator(_number_only)  # stands last, so that the bounds before it are in the JSON schema
Count = Annotated[int, Field(ge=0, le=LARGEST_NUMBER), Whole]
