"""HTTP dates: three forms, always UTC, and nothing else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.http.semantics.dates import format_http_date, parse_http_date

EXAMPLE = 784111777.0  # of RFC 9110 section 5.6.7


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_all_three_forms_are_utc_whatever_the_local_zone(
    monkeypatch: pytest.MonkeyPatch, text: str, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_http_date(text) == EXAMPLE
        assert parse_http_date(text.lower()) == parse_http_date(text.upper()) == EXAMPLE
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "0",
        "-1",
        "784111777",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 2050 02:01:18 +0000",
        "Thu, 18 Aug 2050 02:01:18",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu,18 Aug 2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "18 Aug 2050 02:01:18 GMT",
        "Thu, 8 Aug 2050 02:01:18 GMT",
        "Thu, 31 Feb 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 24:01:18 GMT",
        "Thu, 18 Aug 2050 02:60:18 GMT",
        "Thu, 18 Aug 2050 02:01:61 GMT",
        "Thu, 18 Aug 0000 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
        "Thu, \u0661\u0668 Aug 2050 02:01:18 GMT",
        "Sun Nov 06  08:49:37 1994",
        " Thu, 18 Aug 2050 02:01:18 GMT",
    ],
)
def test_an_invalid_date_is_none(text: str | None) -> None:
    assert parse_http_date(text) is None


def test_a_two_digit_year_is_at_most_fifty_years_ahead() -> None:
    now = 1_800_000_000.0  # 2027
    assert parse_http_date("Sunday, 06-Nov-77 08:49:37 GMT", now) == parse_http_date(
        "Sat, 06 Nov 2077 08:49:37 GMT"
    )
    assert parse_http_date("Sunday, 06-Nov-78 08:49:37 GMT", now) == parse_http_date(
        "Mon, 06 Nov 1978 08:49:37 GMT"
    )


@given(st.integers(0, 2**34))
def test_a_formatted_date_is_parsed_to_itself(seconds: int) -> None:
    assert parse_http_date(format_http_date(seconds)) == seconds
