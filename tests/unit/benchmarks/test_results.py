"""Results survive their file, and a comparison flags what is beyond the noise."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measurement.pairs import from_pairs
from benchmarks.measurement.result import Curve, Value, as_dict, format_figure, from_dict
from benchmarks.report.comparison import compare_results

RATIO = from_pairs("bulk", "GB/s", "nginx", [(1.0, 1.0), (1.1, 1.0), (0.9, 1.0)], better="higher", target=1.0)


@pytest.mark.parametrize(
    "result",
    [
        RATIO,
        Value("memory", "KB", "lower", 60.0, 59.0, 61.0, target=64.0),
        Curve("cost", "edges", "ms", {"ours": [(10.0, 1.0), (100.0, 10.0)]}),
    ],
)
def test_a_result_is_read_back_as_it_was_written(result: object) -> None:
    assert from_dict(as_dict(result)) == result  # type: ignore[arg-type]


def test_a_target_is_judged_by_the_median_of_the_pairs() -> None:
    assert RATIO.ratio == 1.0
    assert RATIO.met is True
    assert replace(RATIO, target=1.01).met is False
    assert replace(RATIO, better="lower", target=0.9).met is False
    assert replace(RATIO, target=None).met is None


@given(st.floats(-2, 2), st.floats(0.1, 10))
def test_the_exponent_of_a_power_law_is_its_power(power: float, factor: float) -> None:
    curve = Curve("x", "n", "s", {"a": [(x, factor * x**power) for x in (1.0, 10.0, 100.0)]})
    assert curve.exponent("a") == pytest.approx(power, abs=1e-6)


def test_what_is_fixed_weighs_less_in_the_slope_at_the_end() -> None:
    curve = Curve("x", "n", "MB", {"a": [(x, 100 + x) for x in (1.0, 10.0, 1e4, 1e5)]})
    assert curve.exponent("a", last=2) > 0.9 > curve.exponent("a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12_437.0, "12,400"),
        (999.7, "1,000"),
        (0.01373, "0.0137"),
        (3.0, "3"),
        (0.0, "0"),
        (123_456_789.0, "123,000,000"),
    ],
)
def test_a_figure_has_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert format_figure(value) == text


@pytest.mark.parametrize(("now", "verdict"), [(0.5, "WORSE"), (2.0, "better"), (1.02, "same")])
def test_only_a_change_beyond_both_spreads_is_flagged(now: float, verdict: str) -> None:
    after = from_pairs("bulk", "GB/s", "nginx", [(now, 1.0)] * 3, better="higher")
    assert compare_results(RATIO, after) == verdict


def test_less_is_better_where_it_is() -> None:
    before, after = (Value("memory", "KB", "lower", size, size, size) for size in (60.0, 30.0))
    assert compare_results(before, after) == "better"
    assert compare_results(after, before) == "WORSE"
