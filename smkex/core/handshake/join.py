"""A subflow joins a running session: challenge and response with fresh nonces from both ends, under its keys.

    client  Join: session id, key step, path number, nonce
    edge    JoinChallenge: nonce, how it saw this subflow, MAC
    client  JoinResponse: MAC

Both MACs and the control keys of the new subflow depend on both nonces and on the messages before (RFC 8684
section 3.2 and MPTCPsec section III-B do it with the numbers of MP_JOIN). Until the response verifies, the edge
keeps no state beside the connection, so knowing the session id alone exhausts nothing. The keys are those of the key
step that the Join names; while it is not the session's, the join is refused and is to be tried again.
"""

import hashlib
import hmac
from dataclasses import dataclass

from smkex.core.errors import FinishedMismatch, MacMismatch, MalformedMessage
from smkex.core.keys.key_schedule import KeySchedule
from smkex.core.wire.codec import Reader, length_prefixed, u8, u16, u64
from smkex.core.wire.frame import HEADER_LENGTH, FrameType, encode_frame
from smkex.core.wire.messages import DIGEST_LENGTH, NONCE_LENGTH, SESSION_ID_LENGTH, Endpoint, Observation

FIRST_JOINED = 2  # paths 0 and 1 are those of the key exchange


@dataclass(frozen=True, slots=True)
class Join:
    """The client's first message on a subflow that joins."""

    session_id: bytes
    step: int
    path: int
    nonce: bytes
    frame: bytes

    @classmethod
    def parse(cls, frame: bytes) -> "Join":
        """Raises `MalformedMessage`."""
        reader = Reader(frame[HEADER_LENGTH:])
        session_id, step = reader.take(SESSION_ID_LENGTH), reader.u64()
        path, nonce = reader.u8(), reader.take(NONCE_LENGTH)
        reader.finish()
        if path < FIRST_JOINED:
            raise MalformedMessage(f"path {path} cannot be joined")
        return cls(session_id, step, path, nonce, frame)


class JoinAcceptor:
    """The edge's side of one join. `nonce` is 32 fresh random bytes."""

    def __init__(self, keys: KeySchedule, join: Join, observed: Observation, nonce: bytes) -> None:
        self._keys = keys
        unproven = nonce + u16(observed.ingress_id) + observed.client.encode()
        draft = encode_frame(FrameType.JOIN_CHALLENGE, unproven + bytes(DIGEST_LENGTH))[:-DIGEST_LENGTH]
        self.hash = _hash_join(join.frame, draft)
        self.challenge = draft + keys.join_mac("server", self.hash)

    def verify(self, frame: bytes) -> None:
        """Verify the JoinResponse; raises `FinishedMismatch`, `MalformedMessage`, `StepChanged` after a key step."""
        reader = Reader(frame[HEADER_LENGTH:])
        verify = reader.take(DIGEST_LENGTH)
        reader.finish()
        if not hmac.compare_digest(self._keys.join_mac("client", self.hash), verify):
            raise FinishedMismatch("the JoinResponse does not verify")


class JoinInitiator:
    """The client's side of one join. `nonce` is 32 fresh random bytes; `path` a number never used before."""

    def __init__(self, keys: KeySchedule, session_id: bytes, path: int, nonce: bytes) -> None:
        self._keys = keys
        self.join = encode_frame(FrameType.JOIN, session_id + u64(keys.step) + u8(path) + nonce)
        self.step = keys.step

    def answer_challenge(self, challenge: bytes) -> tuple[bytes, bytes, Observation]:
        """Return (JoinResponse, hash of the join, how the edge saw the subflow).

        Raises `MacMismatch` when the challenge does not come from this session's edge, `MalformedMessage`, and
        `StepChanged` after a key step.
        """
        reader = Reader(challenge[HEADER_LENGTH:])
        reader.take(NONCE_LENGTH)
        observed = Observation(reader.u16(), Endpoint.read(reader))
        mac = reader.take(DIGEST_LENGTH)
        reader.finish()
        joined = _hash_join(self.join, challenge[:-DIGEST_LENGTH])
        if not hmac.compare_digest(self._keys.join_mac("server", joined), mac):
            raise MacMismatch("the JoinChallenge does not verify")
        return encode_frame(FrameType.JOIN_RESPONSE, self._keys.join_mac("client", joined)), joined, observed


def _hash_join(join: bytes, challenge_without_mac: bytes) -> bytes:
    return hashlib.sha256(length_prefixed(join, challenge_without_mac)).digest()
