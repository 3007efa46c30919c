"""The bytes of messages, frames and control items: read as written, and refused where they have not the form."""

from ipaddress import ip_address

import pytest
from exchanges import CELLULAR, Exchange

from smkex.core import errors
from smkex.core.handshake.config import ClientEntropy
from smkex.core.handshake.server_info import ServerInfo
from smkex.core.session.control_message import ControlItem, ControlMessage
from smkex.core.wire.codec import Reader, u8, u16, vec8, vec16
from smkex.core.wire.frame import (
    HANDSHAKE_LIMIT,
    HEADER_LENGTH,
    SMALL_HANDSHAKE_LIMIT,
    FrameType,
    encode_frame,
)
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.locator import port_locator
from smkex.core.wire.messages import (
    OPTIONS_LIMIT,
    ClientShare,
    Endpoint,
    Finished,
    Ready,
    ServerNonce,
    ServerShare,
    encode_abort,
    encode_options,
    parse_abort,
    read_options,
)

PARSERS = {
    "client_share": ClientShare.parse,
    "server_share": ServerShare.parse,
    "server_nonce": ServerNonce.parse,
    "finished_0": Finished.parse,
}


@pytest.fixture(scope="module")
def wire() -> dict[str, bytes]:
    done = Exchange()
    done.run()
    return done.wire


@pytest.mark.parametrize("name", PARSERS)
def test_a_message_cut_short_or_with_trailing_bytes_is_malformed(name: str, wire: dict[str, bytes]) -> None:
    frame = wire[name]
    for cut in range(HEADER_LENGTH, len(frame)):
        with pytest.raises(errors.MalformedMessage):
            PARSERS[name](frame[:cut])
    with pytest.raises(errors.MalformedMessage, match="trailing"):
        PARSERS[name](frame + b"x")


def test_a_message_of_another_type_is_not_taken_for_this_one(wire: dict[str, bytes]) -> None:
    with pytest.raises(errors.MalformedMessage, match="expected SERVER_SHARE"):
        ServerShare.parse(wire["client_share"])


@pytest.mark.parametrize("name", ["client_share", "server_share"])
def test_another_version_is_named(name: str, wire: dict[str, bytes]) -> None:
    frame = bytearray(wire[name])
    frame[HEADER_LENGTH] = 3
    with pytest.raises(errors.UnsupportedVersion, match="version 3"):
        PARSERS[name](bytes(frame))


def test_a_server_name_that_is_not_ascii_is_refused() -> None:
    share = ClientShare.build(bytes(16), (), (), bytes(32), (), "cdn.example")
    with pytest.raises(errors.MalformedMessage, match="ASCII"):
        ClientShare.parse(share.frame.replace(b"cdn.", b"cdn\xe9"))


def test_unknown_options_are_kept_in_ascending_order_each_once() -> None:
    options = ((1, b"one"), (7, b""), (65535, b"last"))
    assert read_options(Reader(encode_options(options))) == options
    for wrong in (((2, b""), (1, b"")), ((1, b""), (1, b""))):
        with pytest.raises(errors.MalformedMessage, match="order"):
            read_options(Reader(encode_options(wrong)))
    many = tuple((n, b"") for n in range(OPTIONS_LIMIT + 1))
    assert len(read_options(Reader(encode_options(many[:-1])))) == OPTIONS_LIMIT
    with pytest.raises(errors.MalformedMessage, match="more than 16"):
        read_options(Reader(encode_options(many)))
    with pytest.raises(errors.MalformedMessage, match="middle"):
        read_options(Reader(vec16(u16(1) + u16(9) + b"short")))


def test_an_address_is_of_four_or_sixteen_bytes() -> None:
    for text in ("192.0.2.1", "2001:db8::1"):
        endpoint = Endpoint(ip_address(text), 443)
        assert Endpoint.read(Reader(endpoint.encode())) == endpoint
    assert str(Endpoint(ip_address("2001:db8::1"), 443)) == "[2001:db8::1]:443"
    with pytest.raises(errors.MalformedMessage, match="neither"):
        Endpoint.read(Reader(vec8(bytes(5)) + u16(1)))


def test_server_info_of_another_mode_is_refused() -> None:
    from smkex.core.wire.messages import LocatorKind

    encoded = ServerInfo(7, LocatorKind.PORT, CELLULAR).encode()
    assert ServerInfo.parse(encoded) == ServerInfo(7, LocatorKind.PORT, CELLULAR)
    for at, wrong, why in ((1, 1, "mode"), (4, 9, "unknown value")):
        with pytest.raises(errors.MalformedMessage, match=why):
            ServerInfo.parse(encoded[:at] + u8(wrong) + encoded[at + 1 :])
    with pytest.raises(errors.MalformedMessage, match="reserved"):
        ServerInfo.parse(encoded[:2] + u16(0) + encoded[4:])


def test_ready_and_abort_are_read_as_written() -> None:
    assert Ready.parse(Ready.build(1, b"v" * 32).frame) == Ready(
        1, b"v" * 32, Ready.build(1, b"v" * 32).frame
    )
    said = parse_abort(encode_abort(errors.AbortCode.OVERLOADED))
    assert (said.peer_code, said.peer_detail, said.authenticated) == (errors.AbortCode.OVERLOADED, b"", False)
    said = parse_abort(encode_abort(errors.AbortCode.NAME_NOT_OPENED, b"key"))
    assert (said.peer_code, said.peer_detail) == (errors.AbortCode.NAME_NOT_OPENED, b"key")
    with pytest.raises(errors.MalformedMessage):
        Ready.parse(encode_abort(errors.AbortCode.OVERLOADED))
    with pytest.raises(errors.MalformedMessage):
        Ready.parse(encode_frame(FrameType.READY, b"v" * 32))
    with pytest.raises(errors.MalformedMessage):
        parse_abort(encode_frame(FrameType.ABORT, b"\0\1\2"))


def test_both_ends_have_the_same_word_for_ready() -> None:
    done = Exchange()
    done.run()
    client, server = done.client.established.keys, done.server.established.keys
    assert [client.ready(path) for path in (0, 1)] == [server.ready(path) for path in (0, 1)]
    assert len({client.ready(0), client.ready(1), client.finished(0), client.finished(1)}) == 4


def test_a_reason_without_a_name_is_shown_by_its_number() -> None:
    assert "code 999 (not authenticated)" in str(errors.PeerAborted(999, authenticated=False))
    assert str(errors.PeerAborted(5, authenticated=True)).endswith("bad-share")


# --- frames


def test_garbage_is_found_out_after_one_byte_and_too_long_a_frame_after_four() -> None:
    for wrong in (b"\x63", encode_frame(FrameType.DATA, b"")):
        reader = FrameReader()
        reader.feed(wrong + bytes(4))
        with pytest.raises(errors.MalformedMessage):
            list(reader.frames())
    reader = FrameReader()
    reader.feed(bytes([FrameType.CLIENT_SHARE]) + HANDSHAKE_LIMIT.to_bytes(3, "big"))
    with pytest.raises(errors.MalformedMessage, match="CLIENT_SHARE has a body"):
        list(reader.frames())
    reader = FrameReader()
    reader.feed(bytes([FrameType.ABORT]) + SMALL_HANDSHAKE_LIMIT.to_bytes(3, "big"))
    with pytest.raises(errors.MalformedMessage, match="ABORT has a body"):
        list(reader.frames())


def test_what_is_no_tls_record_is_refused_before_it_is_waited_for() -> None:
    for wrong in (b"GET /", b"\x16\x03\x01\x41\x01"):
        reader = FrameReader()
        reader.feed(wrong)
        with pytest.raises(errors.MalformedMessage, match="not a TLS record"):
            reader.next_tls_record()


# --- control messages


def test_unknown_items_are_skipped_and_of_repeated_ones_the_last_counts() -> None:
    unknown = u8(200) + vec8(b"of a later version")
    assert ControlMessage.parse(unknown + ControlMessage(5, 9).encode() + unknown) == ControlMessage(5, 9)
    assert ControlMessage.parse(
        ControlMessage(5, 9).encode() + ControlMessage(6, 10).encode()
    ) == ControlMessage(6, 10)
    everything = ControlMessage(
        5, 9, 7, 20, 3, ((7, 8),), 1, 2, frozenset({3}), frozenset({4}), 8, 2, 9, True
    )
    assert ControlMessage.parse(everything.encode()) == everything
    assert ControlMessage.parse(b"") == ControlMessage()


@pytest.mark.parametrize(
    "item",
    [
        ControlItem.ACKNOWLEDGE,
        ControlItem.FINAL,
        ControlItem.ABORT,
        ControlItem.PING,
        ControlItem.PONG,
        ControlItem.SCHEDULER,
    ],
)
def test_an_item_of_another_length_is_malformed(item: ControlItem) -> None:
    for value in (b"", bytes(21)):
        with pytest.raises(errors.MalformedMessage):
            ControlMessage.parse(u8(item) + vec8(value))


@pytest.mark.parametrize(
    "ranges", [((5, 5),), ((9, 10), (7, 8)), ((5, 8), (7, 9))], ids=["empty", "descending", "overlapping"]
)
def test_ranges_that_do_not_ascend_are_malformed(ranges: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(errors.MalformedMessage, match="ascending"):
        ControlMessage.parse(ControlMessage(0, 9, ranges=ranges).encode())


# --- what a caller may get wrong


def test_entropy_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        ClientEntropy(bytes(15), bytes(32), bytes(32), bytes(64))


def test_an_edge_id_without_a_port_has_no_locator() -> None:
    assert port_locator(1, 10000) == 10001
    for edge_id in (0, 55536):
        with pytest.raises(errors.MalformedMessage, match="no port locator"):
            port_locator(edge_id, 10000)


def test_the_first_byte_of_a_frame_in_pieces_is_that_of_its_first_piece() -> None:
    reader = FrameReader()
    assert reader.first_byte is None
    frame = encode_frame(FrameType.ABORT, bytes(2))
    for at in range(len(frame)):
        reader.feed(frame[at : at + 1])
        assert reader.first_byte == FrameType.ABORT
        assert reader.pending == at + 1
    assert reader.next_frame() == (FrameType.ABORT, frame)
    assert (reader.first_byte, reader.pending) == (None, 0)
