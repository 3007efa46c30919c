"""Structured field values: RFC 9651's forms, and what is none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.structured_fields import Token, parse_dictionary, parse_list, parse_strings, strings_of


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", []),
        ("  1 ", [1]),
        ('"a", "b"', ["a", "b"]),
        ('"a"\t ,\t"b"', ["a", "b"]),
        (r'"a\"b\\c"', ['a"b\\c']),
        ('"a";x;y=1; z="q", b', ["a", "b"]),
        ("-12, 1.5, -0.125", [-12, 1.5, -0.125]),
        ("?1, ?0, :YWJj:, @12, tok/en:x, *", [True, False, b"YWJj", 12, "tok/en:x", "*"]),
        ('%"a%c3%a9"', ["a%c3%a9"]),
        ('("a" "b");x ( 1  2 ), ()', None),
        ('("a" "b");x, ( 1  2 ), ()', [("a", "b"), (1, 2), ()]),
        ('"a" "b"', None),
        ('"a",', None),
        (',"a"', None),
        ('"a",,"b"', None),
        ('"a', None),
        ('"\xe9"', None),
        ('"a\tb"', None),
        (r'"a\b"', None),
        ('"a" ;x', None),
        ('"a";', None),
        ('"a";X', None),
        ("1.", None),
        ("1.2345", None),
        ("1234567890123456", None),
        ("-", None),
        ("?2", None),
        ('("a""b")', None),
        ('("a"', None),
        ("=", None),
    ],
)
def test_a_list(text: str, members: list[object] | None) -> None:
    if members is None:
        with pytest.raises(ValueError):
            parse_list(text)
    else:
        assert parse_list(text) == members


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", {}),
        ("a, b=?0, c=1;x=2, d;y, e=(1 2)", {"a": True, "b": False, "c": 1, "d": True, "e": (1, 2)}),
        ("a=1, a=2", {"a": 2}),
        ("A=1", None),
        ("a =1", None),
        ("a= 1", None),
        ("a=", None),
        ("a b", None),
    ],
)
def test_a_dictionary(text: str, members: dict[str, object] | None) -> None:
    if members is None:
        with pytest.raises(ValueError):
            parse_dictionary(text)
    else:
        assert parse_dictionary(text) == members


@pytest.mark.parametrize(
    ("text", "strings"),
    [(None, None), ("", []), ('"a", "b"', ["a", "b"]), ('"a", b', None), ('"a", 1', None), ("(", None)],
)
def test_a_token_is_no_string(text: str | None, strings: list[str] | None) -> None:
    assert parse_strings(text) == strings
    assert strings_of(Token("a")) is None


@given(st.text(st.characters(max_codepoint=0xFF), max_size=40))
def test_anything_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_list, parse_dictionary):
        try:
            parse(text)
        except ValueError:
            continue


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=10), max_size=5))
def test_strings_come_back(strings: list[str]) -> None:
    written = ", ".join('"' + one.replace("\\", r"\\").replace('"', r"\"") + '"' for one in strings)
    assert parse_strings(written) == strings
