"""Integers in header fields are ASCII digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.http.semantics.integers import INTEGER_MAX, parse_integer


@given(st.integers(0, 2**63 - 1), st.integers(0, 30))
def test_digits_are_the_number_with_any_zeros_before(number: int, zeros: int) -> None:
    assert parse_integer("0" * zeros + str(number)) == number


@pytest.mark.parametrize(
    "text", [None, "", " 1", "1 ", "+1", "-1", "1_0", "0x1", "1.0", "\xb2", "\u0661", "1,1"]
)
def test_everything_else_is_none(text: str | None) -> None:
    assert parse_integer(text) is None


def test_any_size_is_accepted_and_bounded() -> None:
    assert parse_integer("9" * 100_000) == INTEGER_MAX
