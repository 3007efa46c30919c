"""Netlink's encoding: what is written is read back, and garbage ends the reading without an error."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from smkex.transport.mptcp.path_manager import AddressAnnouncement, parse_announcements
from smkex.transport.routes.netlink import encode_attribute, encode_nested, parse_attributes, parse_messages


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_are_read_back_as_written(fields: list[tuple[int, bytes]]) -> None:
    raw = b"".join(encode_attribute(kind, value) for kind, value in fields)
    assert list(parse_attributes(raw)) == fields
    assert len(raw) % 4 == 0


def test_a_nested_attribute_carries_its_flag_and_is_read_without_it() -> None:
    raw = encode_nested(1, encode_attribute(2, b"x"))
    assert struct.unpack_from("=H", raw, 2) == (0x8001,)
    assert [(kind, list(parse_attributes(value))) for kind, value in parse_attributes(raw)] == [
        (1, [(2, b"x")])
    ]


@given(st.binary(max_size=200))
def test_garbage_is_read_to_its_end(raw: bytes) -> None:
    list(parse_attributes(raw))
    list(parse_messages(raw))


def event(command: int, *fields: bytes) -> bytes:
    body = struct.pack("=BBH", command, 1, 0) + b"".join(fields)
    return struct.pack("=IHHII", 16 + len(body), 30, 0, 0, 0) + body


def test_an_announcement_without_its_fields_is_passed_over_and_the_next_is_read() -> None:
    token, address, port = (
        encode_attribute(1, struct.pack("=I", 9)),
        encode_attribute(7, bytes([192, 0, 2, 1])),
        encode_attribute(10, b"\1\2"),
    )
    broken = [
        event(6),
        event(6, token),
        event(6, encode_attribute(1, b"x"), address),
        event(6, token, encode_attribute(7, b"xyz")),
    ]
    empty = struct.pack("=IHHII", 16, 30, 0, 0, 0)
    datagram = b"".join([*broken, empty, event(5, token, address), event(6, token, address, port)])
    assert parse_announcements(datagram) == [AddressAnnouncement(9, "192.0.2.1", 0x0102)]
