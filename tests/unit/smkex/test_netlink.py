"""Netlink's encoding: what is written is read back, and garbage ends the reading without an error."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from smkex.transport.netlink import attribute, attributes, messages, nested


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_are_read_back_as_written(fields: list[tuple[int, bytes]]) -> None:
    raw = b"".join(attribute(kind, value) for kind, value in fields)
    assert list(attributes(raw)) == fields
    assert len(raw) % 4 == 0


def test_a_nested_attribute_carries_its_flag_and_is_read_without_it() -> None:
    raw = nested(1, attribute(2, b"x"))
    assert struct.unpack_from("=H", raw, 2) == (0x8001,)
    assert [(kind, list(attributes(value))) for kind, value in attributes(raw)] == [(1, [(2, b"x")])]


@given(st.binary(max_size=200))
def test_garbage_is_read_to_its_end(raw: bytes) -> None:
    list(attributes(raw))
    list(messages(raw))
