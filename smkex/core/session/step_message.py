"""The five messages of a key step: SMKEX again, over paths of the running session (docs/protocol, "Key steps").

    share path   client  StepShare: number, attempt, both paths, the client's epoch, share
                 edge    StepAnswer: the edge's epoch, share
    nonce path   client  StepNonce: N_C
                 edge    StepBinding: N_S, binding, MAC
                 client  StepFinished: MAC

Each is the body of a Step frame, which is sealed like a control message. It begins with its kind, the step's number and
the attempt.
"""

from enum import IntEnum, unique
from typing import NamedTuple

from smkex.core.errors import MalformedMessage
from smkex.core.wire.codec import Reader, u8, u32, u64, vec16
from smkex.core.wire.messages import DIGEST_LENGTH, NONCE_LENGTH
from smkex.core.wire.named_group import (
    CLIENT_SHARE_LENGTH,
    SERVER_SHARE_LENGTH,
    NamedGroup,
    check_share_length,
)


@unique
class StepKind(IntEnum):
    """Kinds of messages of a step, as sent."""

    SHARE = 1
    ANSWER = 2
    NONCE = 3
    BINDING = 4
    FINISHED = 5


class StepMessage(NamedTuple):
    """One message of a step, with its body as sent; fields that its kind does not have are empty.

    `share_path` and `nonce_path` are the paths of a StepShare; `epoch` that of the sender's stream; `value` the share,
    the nonce of StepNonce and StepBinding, or the MAC of StepFinished.
    """

    kind: StepKind
    step: int
    attempt: int
    body: bytes
    value: bytes
    share_path: int = 0
    nonce_path: int = 0
    epoch: int = 0
    binding: bytes = b""
    mac: bytes = b""

    @classmethod
    def parse(cls, body: bytes, group: NamedGroup) -> "StepMessage":
        """Read a message of a session whose group is `group`. Raises `MalformedMessage`."""
        reader = Reader(body)
        try:
            kind = StepKind(reader.u8())
        except ValueError as error:
            raise MalformedMessage(f"unknown message of a key step: {error}") from None
        step, attempt = reader.u64(), reader.u32()
        share_path = nonce_path = epoch = 0
        binding = mac = b""
        if kind is StepKind.SHARE:
            share_path, nonce_path, epoch, value = reader.u8(), reader.u8(), reader.u64(), reader.vec16()
            check_share_length(group, value, CLIENT_SHARE_LENGTH)
        elif kind is StepKind.ANSWER:
            epoch, value = reader.u64(), reader.vec16()
            check_share_length(group, value, SERVER_SHARE_LENGTH)
        elif kind is StepKind.BINDING:
            value, binding = reader.take(NONCE_LENGTH), reader.take(DIGEST_LENGTH)
            mac = reader.take(DIGEST_LENGTH)
        else:
            value = reader.take(NONCE_LENGTH if kind is StepKind.NONCE else DIGEST_LENGTH)
        reader.finish()
        return cls(kind, step, attempt, body, value, share_path, nonce_path, epoch, binding, mac)


def encode_step_share(
    step: int, attempt: int, share_path: int, nonce_path: int, epoch: int, share: bytes
) -> bytes:
    """Encode StepShare: the client's `share`; `epoch` is the client's as it begins the attempt."""
    head = _encode_head(StepKind.SHARE, step, attempt)
    return head + u8(share_path) + u8(nonce_path) + u64(epoch) + vec16(share)


def encode_step_answer(step: int, attempt: int, epoch: int, share: bytes) -> bytes:
    """Encode StepAnswer: the edge's `share` and epoch."""
    return _encode_head(StepKind.ANSWER, step, attempt) + u64(epoch) + vec16(share)


def encode_step_nonce(step: int, attempt: int, nonce: bytes) -> bytes:
    """Encode StepNonce."""
    return _encode_head(StepKind.NONCE, step, attempt) + nonce


def encode_step_binding(step: int, attempt: int, nonce: bytes, binding: bytes) -> bytes:
    """Encode StepBinding without its MAC."""
    return _encode_head(StepKind.BINDING, step, attempt) + nonce + binding


def encode_step_finished(step: int, attempt: int, mac: bytes) -> bytes:
    """Encode StepFinished."""
    return _encode_head(StepKind.FINISHED, step, attempt) + mac


def _encode_head(kind: StepKind, step: int, attempt: int) -> bytes:
    return u8(kind) + u64(step) + u32(attempt)
