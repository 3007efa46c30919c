"""The mark: one value for Python and C."""

import re
from pathlib import Path

import pytest

from node import mark

LAYOUT = Path(__file__).parents[3] / "balancer" / "datapath" / "c" / "layout.h"


@pytest.mark.parametrize("name", ["MARK_TAG", "DIRECT_TAG", "MARK_MASK", "INGRESS_MASK"])
def test_the_datapath_has_the_same_constant(name: str) -> None:
    found = re.findall(rf"^#define {name} (0x[0-9A-Fa-f]+)u", LAYOUT.read_text(), re.MULTILINE)
    assert [int(text, 16) for text in found] == [getattr(mark, name)]


@pytest.mark.parametrize(
    ("value", "ingress"),
    [
        (0x5E000007, 7),
        (0x5D00D8EF, 55535),
        (0x5EFF0007, 7),
        (0, None),
        (7, None),
        (0x5C000007, None),
        (0xFFFFFFFF, None),
    ],
)
def test_a_mark_without_the_tag_names_no_ingress(value: int, ingress: int | None) -> None:
    assert mark.ingress_of_mark(value) == ingress
