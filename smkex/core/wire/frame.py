"""Frames: how messages and records follow each other on one subflow.

A frame is its type (one byte), the length of its body (three bytes) and the body. Each type has a maximum
length, so garbage is rejected after four bytes and never makes an end wait for more.
"""

from enum import IntEnum, unique
from typing import Final

HEADER_LENGTH: Final = 4
# bytes of a share with its header: hybrid shares and certificates fit twice over, and both messages of path 0 in one
# initial window of TCP each (RFC 6928)
HANDSHAKE_LIMIT: Final = 4096
# of every other handshake frame: what an end reads, and answers, before it knows the other
SMALL_HANDSHAKE_LIMIT: Final = 512
RECORD_DATA_LIMIT: Final = 65536
TAG_LENGTH: Final = 16
CONTROL_LIMIT: Final = 512
DATA_LIMIT: Final = 8 + RECORD_DATA_LIMIT + TAG_LENGTH  # of a record's body: DSN, ciphertext, tag
STEP_LIMIT: Final = 1536  # of a message of a key step: a hybrid share fits in one segment of TCP
# of the types of frames that sessions exchange, as plain numbers
DATA_TYPE: Final = 16
CONTROL_TYPE: Final = 17
STEP_TYPE: Final = 18
SWITCH_TYPE: Final = 19


@unique
class FrameType(IntEnum):
    """Types of frames, as sent."""

    CLIENT_SHARE = 1
    SERVER_SHARE = 2
    CLIENT_NONCE = 3
    SERVER_NONCE = 4
    FINISHED = 5
    ABORT = 6
    READY = 7
    JOIN = 8
    JOIN_CHALLENGE = 9
    JOIN_RESPONSE = 10
    DATA = DATA_TYPE
    CONTROL = CONTROL_TYPE
    STEP = STEP_TYPE
    SWITCH = SWITCH_TYPE


# type byte to (type, maximum length of the body)
FRAME_LIMITS = {int(kind): (kind, SMALL_HANDSHAKE_LIMIT - HEADER_LENGTH) for kind in FrameType}
for _kind in (FrameType.CLIENT_SHARE, FrameType.SERVER_SHARE):
    FRAME_LIMITS[_kind] = (_kind, HANDSHAKE_LIMIT - HEADER_LENGTH)
FRAME_LIMITS[FrameType.DATA] = (FrameType.DATA, DATA_LIMIT)
FRAME_LIMITS[FrameType.CONTROL] = (FrameType.CONTROL, CONTROL_LIMIT)
FRAME_LIMITS[FrameType.STEP] = (FrameType.STEP, STEP_LIMIT)
FRAME_LIMITS[FrameType.SWITCH] = (FrameType.SWITCH, CONTROL_LIMIT)


def encode_header(kind: FrameType, length: int) -> bytes:
    """The four bytes before a body of `length` bytes."""
    return bytes((kind,)) + length.to_bytes(3, "big")


def encode_frame(kind: FrameType, body: bytes) -> bytes:
    return encode_header(kind, len(body)) + body
