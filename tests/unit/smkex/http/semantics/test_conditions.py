"""Lists of entity-tags: a member that is no tag matches nothing (RFC 9110 sections 8.8.3 and 13.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.http.semantics.conditions import (
    EntityTag,
    Precondition,
    Validators,
    evaluate_preconditions,
    is_not_modified,
)

CURRENT = Validators(EntityTag('"1"'))
opaque = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=6)


@pytest.mark.parametrize("value", ['"1"', 'W/"1"', '"0", "1"', '"a,b" , W/"1"', ',,\t"1" ,', "*", " * "])
def test_a_listed_tag_matches(value: str) -> None:
    assert is_not_modified({"if-none-match": value}, CURRENT)


@pytest.mark.parametrize(
    "value", ['w/"1"', 'W /"1"', 'x"1"', '"1"x', '"0" "1"', '"\\"1\\""', '"1', "1", "", '"*"']
)
def test_what_is_no_tag_matches_nothing(value: str) -> None:
    assert not is_not_modified({"if-none-match": value}, CURRENT)
    assert evaluate_preconditions({"if-match": value}, "PUT", CURRENT) is Precondition.FAILED


@given(st.lists(st.tuples(st.booleans(), opaque), max_size=6), opaque)
def test_a_list_matches_exactly_what_it_names(listed: list[tuple[bool, str]], current: str) -> None:
    value = ", ".join(f'{"W/" if weak else ""}"{name}"' for weak, name in listed)
    validators = Validators(EntityTag(f'"{current}"'))
    assert is_not_modified({"if-none-match": value}, validators) == any(n == current for _, n in listed)
    strong = any(name == current and not weak for weak, name in listed)
    outcome = evaluate_preconditions({"if-match": value}, "PUT", validators)
    assert (outcome is Precondition.PROCEED) == strong
