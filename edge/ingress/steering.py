"""Steering: read the session of a new subflow from its first bytes, and name its worker.

All subflows of a session must meet in one process. Its id is in the first frame of each, or, where path 0 is TLS, the
hash of the ClientHello; a keyed hash of the id names the worker, the same in every process, so workers need not
ask each other, and no client can choose its worker.
"""

import hashlib
from dataclasses import dataclass

from smkex.core.handshake.tls import FIRST_BYTE as TLS_FIRST_BYTE
from smkex.core.handshake.tls import session_id_of
from smkex.core.wire.frame import HEADER_LENGTH, FrameType
from smkex.core.wire.frame_reader import TLS_HEADER_LENGTH, TLS_RECORD_LIMIT
from smkex.core.wire.messages import SESSION_ID_LENGTH

HELLO_LIMIT = TLS_HEADER_LENGTH + TLS_RECORD_LIMIT  # bytes with the records' headers
HELLO_RECORDS = 8
_TLS_MESSAGE_HEADER = 4
# where the session id begins: ClientShare has a version before it
_ID_AT = {
    FrameType.CLIENT_SHARE: HEADER_LENGTH + 1,
    FrameType.CLIENT_NONCE: HEADER_LENGTH,
    FrameType.JOIN: HEADER_LENGTH,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """The session that a subflow's first bytes name, and the frame that names it (None: a ClientHello)."""

    session_id: bytes
    kind: FrameType | None


def owner_of(session_id: bytes, secret: bytes, workers: int) -> int:
    """Return the index of the worker that serves a session."""
    digest = hashlib.blake2s(session_id, key=secret, digest_size=8).digest()
    return int.from_bytes(digest, "big") % workers


def read_claim(first: bytes) -> Claim | int | None:
    """Return the claim in a subflow's first bytes, the number of bytes needed to decide, or None for no claim."""
    if not first:
        return 1
    if first[0] == TLS_FIRST_BYTE:
        return _read_hello(first)
    at = _ID_AT.get(first[0])  # type: ignore[call-overload]
    if at is None:
        return None
    if len(first) < at + SESSION_ID_LENGTH:
        return int(at + SESSION_ID_LENGTH)
    return Claim(first[at : at + SESSION_ID_LENGTH], FrameType(first[0]))


def _read_hello(first: bytes) -> Claim | int | None:
    """Read a ClientHello of one or more records, `HELLO_RECORDS` at most."""
    message, at = b"", 0
    for _ in range(HELLO_RECORDS):
        if len(first) < at + TLS_HEADER_LENGTH:
            return at + TLS_HEADER_LENGTH
        length = int.from_bytes(first[at + 3 : at + TLS_HEADER_LENGTH], "big")
        end = at + TLS_HEADER_LENGTH + length
        if first[at] != TLS_FIRST_BYTE or not 1 <= length <= TLS_RECORD_LIMIT or end > HELLO_LIMIT:
            return None
        if len(first) < end:
            return end
        message += first[at + TLS_HEADER_LENGTH : end]
        at = end
        size = _TLS_MESSAGE_HEADER + int.from_bytes(message[1:_TLS_MESSAGE_HEADER], "big")
        if len(message) >= _TLS_MESSAGE_HEADER and size <= len(message):
            return Claim(session_id_of(message[:size]), None)
    return None
