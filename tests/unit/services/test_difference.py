"""Differences of two documents are fields, and origins are compared by name."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.difference import Difference, compare_documents

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab", max_size=2), below, max_size=3),
    max_leaves=8,
)


def test_only_fields_that_differ_are_named() -> None:
    before = {"hostnames": ["a"], "origins": [{"name": "eu", "weight": 1}, {"name": "us"}]}
    after = {"hostnames": ["a", "b"], "origins": [{"name": "us"}, {"name": "eu", "weight": 2}]}
    assert list(compare_documents(before, after)) == [
        Difference("hostnames", ["a"], ["a", "b"]),
        Difference("origins[eu].weight", 1, 2),
    ]


@given(JSON)
def test_a_document_does_not_differ_from_itself(value: Any) -> None:
    assert list(compare_documents({"a": value}, {"a": value})) == []
