"""What a user may say of a link, and what becomes of it."""

import pytest

from lab.emulation.impairment import Impairment, parse_bits, parse_seconds


@pytest.mark.parametrize(("text", "value"), [("2.5ms", 0.0025), ("1s", 1.0), ("100us", 0.0001), ("0ms", 0.0)])
def test_times_have_a_unit(text: str, value: float) -> None:
    assert parse_seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"), [("50Mbit", 50e6), ("50mbit/s", 50e6), ("1.5G", 1.5e9), ("800000", 8e5)]
)
def test_rates_are_bits_a_second(text: str, value: float) -> None:
    assert parse_bits(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "ms", "-1ms", "5 ms", "5min"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_seconds(text)


@pytest.mark.parametrize("text", ["", "fast", "-5Mbit", "5MB"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_bits(text)


def test_absurd_links_are_refused() -> None:
    with pytest.raises(ValueError, match="delay"):
        Impairment(delay=11.0)
    with pytest.raises(ValueError, match="rate"):
        Impairment(rate=1.0)


def test_the_queue_holds_a_tenth_of_a_second_or_what_was_said() -> None:
    assert Impairment(rate=80e6).queue_bytes == 1_000_000
    assert Impairment(rate=80e6, queue=5000).queue_bytes == 5000
