"""YAML of documents says what JSON can say, and means what it looks like."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sennit.yaml_documents import format_document, parse_document_text

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.text("0123456789e.-+:_", max_size=5)
    | st.floats(0, 1e6)
)
DOCUMENTS = st.dictionaries(
    st.text(min_size=1),
    st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(st.text(), below), max_leaves=6),
)


@given(DOCUMENTS)
def test_what_is_written_is_read_again(document: dict[str, Any]) -> None:
    assert parse_document_text(format_document(document)) == document


def test_words_are_texts_and_only_true_and_false_are_booleans() -> None:
    text = "a: on\nb: no\nc: 2026-01-01\nd: true\ne: 1\nf: 0.5\ng: null\nh: 1:30\ni: 010\nj: 1_000\nk: True\n"
    expected = {"a": "on", "b": "no", "c": "2026-01-01", "d": True, "e": 1, "f": 0.5, "g": None}
    assert parse_document_text(text) == expected | {"h": "1:30", "i": "010", "j": "1_000", "k": "True"}


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a: &x [1]\nb: *x\n",
        "a: !!python/object/apply:os.system [id]\n",
        "1: 2\n",
        "- a\n",
        "",
        "a: [",
        "a: " + "[" * 5000,
        "a: " + "x" * (1024 * 1024),
        "a: 1\n---\nb: 2\n",
    ],
)
def test_what_json_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_document_text(text)
