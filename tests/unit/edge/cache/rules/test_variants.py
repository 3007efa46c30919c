"""Which values of a selecting field are one variant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cache.rules.variants import normalize_value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gzip, br", "br,gzip"),
        ("gzip;q=0.1, br", "gzip, br;q=0.5"),
        ("GZIP ; q=1.000 ,br", "x-gzip, br"),
        ("identity", ""),
        ("gzip, deflate;q=0", "gzip"),
        ("gzip, identity;q=0.5", "gzip"),
    ],
)
def test_codings_of_one_class_are_one_variant(one: str, other: str) -> None:
    assert normalize_value("accept-encoding", one) == normalize_value("accept-encoding", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gzip", "br"),
        ("gzip", "gzip, br"),
        ("gzip;q=0", "gzip"),
        ("gzip, identity;q=0", "gzip"),
        ("gzip, *;q=0", "gzip"),
        ("*, gzip;q=0", "*"),
        ("", None),
    ],
)
def test_codings_of_another_class_are_another_variant(one: str, other: str | None) -> None:
    assert normalize_value("accept-encoding", one) != normalize_value("accept-encoding", other)


@pytest.mark.parametrize("value", ["de,en", "de, en", " de ,\ten ", "de  ,  en"])
def test_white_space_around_commas_makes_no_variant(value: str) -> None:
    assert normalize_value("accept-language", value) == "de,en"


@pytest.mark.parametrize("value", ["de en", "deen", "en,de", '"de , en"'])
def test_other_differences_do(value: str) -> None:
    assert normalize_value("accept-language", value) != "de,en"


@given(st.sampled_from(["accept-encoding", "x"]), st.text(st.sampled_from('ab ,;q=0."*!\t'), max_size=20))
def test_normalizing_twice_changes_nothing(name: str, value: str) -> None:
    once = normalize_value("x", value)
    assert normalize_value("x", once) == once
