"""Ranges of a request are slices of the body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.http.semantics.ranges import RangeNotSatisfiable, first_position, parse_ranges


@given(size=st.integers(0, 1000), first=st.integers(0, 1200), last=st.integers(0, 1200))
def test_a_range_is_the_slice_that_it_says(size: int, first: int, last: int) -> None:
    whole = range(size)
    try:
        parts = parse_ranges(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if parts is None:
        assert last < first
    else:
        assert whole[parts[0].first : parts[0].last + 1] == whole[first : last + 1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "bytes=\xb2-",
        "bytes=+1-",
        "bytes=1 - 2",
        "bytes=-",
        "bytes=",
        "lines=1-2",
        "bytes =0-1",
        "bytes\t=0-1",
    ],
)
def test_an_invalid_range_is_ignored(value: str | None) -> None:
    assert parse_ranges(value, 10) is None


def test_positions_have_any_size() -> None:
    zeros = "0" * 50
    assert [(part.first, part.last) for part in parse_ranges(f"bytes={zeros}2-{'9' * 5000}", 10) or []] == [
        (2, 9)
    ]
    assert [(part.first, part.last) for part in parse_ranges(f"bytes=-{'9' * 5000}", 10) or []] == [(0, 9)]
    with pytest.raises(RangeNotSatisfiable):
        parse_ranges("bytes=" + "9" * 5000 + "-", 10)


def test_the_name_of_a_unit_has_no_case() -> None:
    assert [(part.first, part.last) for part in parse_ranges("Bytes=2-3", 10) or []] == [(2, 3)]


@pytest.mark.parametrize(
    ("value", "position"),
    [
        ("bytes=7-9", 7),
        ("BYTES=7-", 7),
        ("bytes= 7-9 , 1-2", 7),
        ("bytes=-5", None),
        ("bytes =7-9", None),
        ("bytes=x-9", None),
        ("bytes", None),
        ("lines=7-9", None),
    ],
)
def test_where_a_range_begins(value: str, position: int | None) -> None:
    assert first_position(value) == position


def test_the_end_of_an_empty_body_is_all_of_it() -> None:
    assert parse_ranges("bytes=-5", 0) is None
    for value in ("bytes=0-", "bytes=-0"):
        with pytest.raises(RangeNotSatisfiable):
            parse_ranges(value, 0)
