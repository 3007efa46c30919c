"""What the table says of a run's output."""

import pytest
from platform_results import summarize_output


@pytest.mark.parametrize(
    ("said", "summary"),
    [
        ("530 passed in 605.45s", "530 passed"),
        ("1 failed, 2 passed, 1 error in 3 s", "2 passed, 1 failed, 1 error"),
        ("73 passed, 6 errors in 1671.86s (0:27:51)", "73 passed, 6 error"),
        ("4 passed in 1 s\n2 passed, 1 skipped in 1 s", "6 passed, 1 skipped"),
        ("! Interrupted: 2 errors during collection !\n2 errors in 227.69s (0:03:47)", "2 error"),
        ("lab: up in 47.8 s", "up in 47.8 s"),
        ("nothing of the kind", ""),
    ],
)
def test_tests_that_ended_in_any_way_are_counted(said: str, summary: str) -> None:
    assert summarize_output(said) == summary
