"""Frames come out whole and in order, wherever the bytes of a subflow are cut and however many are taken at a time."""

from hypothesis import given
from hypothesis import strategies as st

from smkex.core.wire.frame import CONTROL_LIMIT, DATA_LIMIT, FrameType, encode_frame
from smkex.core.wire.frame_reader import FrameReader

BODIES = st.lists(st.sampled_from([0, 1, 3, 21, 300, 5000, DATA_LIMIT]), min_size=1, max_size=8)
# pieces around the four bytes of a header, and around whole frames
PIECES = st.lists(st.sampled_from([1, 2, 3, 4, 5, 30, 4000, 70_000, 300_000]), min_size=1, max_size=12)


def data_frames(lengths: list[int]) -> list[bytes]:
    return [
        encode_frame(FrameType.DATA, bytes([number]) * length) for number, length in enumerate(lengths, 1)
    ]


@given(BODIES, PIECES, st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_frames_come_out_as_they_went_in(lengths: list[int], pieces: list[int], takes: list[int]) -> None:
    frames = data_frames(lengths)
    reader, sent = FrameReader(handshake_only=False), b"".join(frames)
    taken: list[bytes] = []
    at = turn = 0
    while at < len(sent):
        # the last kind of piece goes on to the end
        piece = sent[at : at + pieces[min(turn, len(pieces) - 1)] * (1 + turn // len(pieces))]
        buffer = bytearray(piece)
        if turn % 3 == 0:
            reader.feed(piece)
        elif turn % 3 == 1:
            reader.feed(memoryview(buffer))
        else:
            reader.lend(memoryview(buffer))
        at += len(piece)
        for _ in range(takes[turn % len(takes)]):
            frame = reader.take_frame()
            if frame is not None:
                taken.append(bytes(frame))
        reader.keep_unread()
        buffer[:] = bytes(len(buffer))  # as the next read does: nothing may still depend on it
        assert reader.pending == at - sum(map(len, taken))
        turn += 1
    while (frame := reader.take_frame()) is not None:
        taken.append(bytes(frame))
    assert taken == frames
    assert (reader.pending, reader.first_byte) == (0, None)


def test_large_records_alone_are_views_of_what_was_lent() -> None:
    reader = FrameReader(handshake_only=False)
    frames = data_frames([10_000, 10, 10_000])
    control = encode_frame(FrameType.CONTROL, bytes(CONTROL_LIMIT))
    sent = bytearray(b"".join([*frames, control]) + frames[0][:3])
    reader.lend(memoryview(sent))
    taken = [reader.take_frame() for _ in range(5)]
    assert [bytes(frame) for frame in taken if frame is not None] == [*frames, control]
    assert [isinstance(frame, memoryview) for frame in taken] == [True, False, True, False, False]
    reader.keep_unread()
    assert (reader.pending, reader.first_byte) == (3, FrameType.DATA)


def test_the_first_byte_is_known_before_its_frame_is_whole() -> None:
    reader = FrameReader()
    frame = encode_frame(FrameType.CLIENT_NONCE, bytes(48))
    for count in (3, 4, 30):
        reader.feed(frame[:count] if count == 3 else frame[3:4] if count == 4 else frame[4:30])
        assert reader.first_byte == FrameType.CLIENT_NONCE
        assert reader.next_frame() is None
    reader.feed(frame[30:] + frame[:1])
    assert reader.next_frame() == (FrameType.CLIENT_NONCE, frame)
    assert (reader.first_byte, reader.pending) == (FrameType.CLIENT_NONCE, 1)


def test_a_record_of_tls_is_read_behind_a_look_for_a_frame() -> None:
    """Path 0 of mode mtls begins with TLS; its reader may have been asked for a frame before."""
    reader = FrameReader()
    record = b"\x16\x03\x01\x00\x05hello"
    reader.feed(record[:2])
    assert reader.take_frame() is None
    reader.feed(record[2:] + record)
    assert [reader.next_tls_record(), reader.next_tls_record()] == [record, record]
    assert reader.next_tls_record() is None
