"""CDN-Cache-Control is a dictionary of structured fields, or does not count (RFC 9213 section 2.1)."""

import pytest

from edge.cache.rules.targeted import effective_directives, parse_targeted


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        ("max-age=60", {"max-age": "60"}),
        ("no-store", {"no-store": ""}),
        ("max-age=60,public ,  s-maxage=5", {"max-age": "60", "public": "", "s-maxage": "5"}),
        ("max-age=60;foo=bar, no-cache;a", {"max-age": "60", "no-cache": ""}),
        ("max-age=60, max-age=10", {"max-age": "10"}),
        ('max-age="60"', {}),
        ("max-age=60.5", {}),
        ("max-age=-1", {}),
        ("max-age", {}),
        ("no-store=?0, max-age=1", {"max-age": "1"}),
        ('private="a, b", max-age=1', {"private": "a, b", "max-age": "1"}),
        ("x=(a b), y=:YQ==:, max-age=1", {"x": "", "y": "", "max-age": "1"}),
    ],
)
def test_a_valid_field_counts(value: str, directives: dict[str, str]) -> None:
    assert parse_targeted(value) == directives
    fields = {"cdn-cache-control": value, "cache-control": "no-store, max-age=9"}
    assert effective_directives(fields) == directives


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "Max-Age=60",
        "max-age=60,",
        ",max-age=60",
        "max-age=60 public",
        "max-age:60",
        "&",
        'a="',
        "\xe9",
    ],
)
def test_an_invalid_or_empty_field_does_not(value: str) -> None:
    assert parse_targeted(value) is None
    assert effective_directives({"cdn-cache-control": value, "cache-control": "max-age=9"}) == {
        "max-age": "9"
    }
