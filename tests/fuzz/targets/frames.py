"""Frames and TLS records, cut out of whatever arrives in whatever pieces; then the messages in them."""

from harness import covered, fuzz

with covered():
    from smkex.core.errors import SmkexError
    from smkex.core.handshake.join import Join
    from smkex.core.wire.frame import HEADER_LENGTH, RECORD_DATA_LIMIT, FrameType
    from smkex.core.wire.frame_reader import FrameReader
    from smkex.core.wire.messages import (
        ClientNonce,
        ClientShare,
        Finished,
        Ready,
        ServerNonce,
        ServerShare,
        parse_abort,
    )

PARSERS = {
    FrameType.CLIENT_SHARE: ClientShare.parse,
    FrameType.SERVER_SHARE: ServerShare.parse,
    FrameType.CLIENT_NONCE: ClientNonce.parse,
    FrameType.SERVER_NONCE: ServerNonce.parse,
    FrameType.FINISHED: Finished.parse,
    FrameType.ABORT: parse_abort,
    FrameType.READY: Ready.parse,
    FrameType.JOIN: Join.parse,
}


def frames_of(data: bytes, step: int, handshake_only: bool) -> list[tuple[FrameType, bytes]]:
    reader = FrameReader(handshake_only=handshake_only)
    found: list[tuple[FrameType, bytes]] = []
    try:
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
            found += reader.frames()
            assert reader.pending < HEADER_LENGTH + 8 + RECORD_DATA_LIMIT + 16
    except SmkexError:
        pass
    return found


def one(data: bytes) -> None:
    if not data:
        return
    step, rest = data[0] + 1, data[1:]
    whole = frames_of(rest, len(rest) + 1, step % 2 == 0)
    assert frames_of(rest, step, step % 2 == 0) == whole, "how bytes are cut makes a difference"
    assert rest.startswith(b"".join(frame for _, frame in whole))
    for kind, frame in whole:
        if kind in PARSERS:
            try:
                message = PARSERS[kind](frame)
            except SmkexError:
                continue
            assert getattr(message, "frame", frame) == frame
    reader = FrameReader()
    reader.feed(rest)
    try:
        while reader.next_tls_record() is not None:
            pass
    except SmkexError:
        pass


if __name__ == "__main__":
    fuzz(one)
