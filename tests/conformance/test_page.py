"""The page lists the cases as they are."""

from pathlib import Path

from cache_cases.page import render_page
from cache_cases.suite import SUITE

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_page_is_that_of_the_cases() -> None:
    assert PAGE.read_text() == render_page(), "run: python tests/conformance"


def test_no_case_is_asked_twice() -> None:
    names = [(case.section, case.text) for case in SUITE]
    assert sorted(names) == sorted(set(names))
