"""What an agent answers to another one, signed with its own key over the nonce of the question.

The key that verifies it is in the signed forwarding table, so no other agent answers for an edge, and no answer counts
twice.
"""

import base64
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from node.fields import read_integer
from node.vip import MAXIMUM_EDGE_ID

LABEL = b"sennit peer answer v1"
NONCE_BYTES = 32
LARGEST_GENERATION = 2**53 - 1


class ForgedAnswer(ValueError):
    """The answer is not signed by the asked edge over the nonce of the question."""


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """An edge's id, the generation of the table that it has (0: none), and how it is.

    `announcing`: it lets BIRD announce the VIP; `cut_off`: no peer answers it over the backbone.
    """

    edge_id: int
    generation: int
    announcing: bool
    cut_off: bool

    def sign(self, key: Ed25519PrivateKey, nonce: bytes) -> dict[str, Any]:
        """Return the answer's JSON to a question with this nonce."""
        return asdict(self) | {"signature": base64.b64encode(key.sign(self._signed_bytes(nonce))).decode()}

    def _signed_bytes(self, nonce: bytes) -> bytes:
        return (
            LABEL + nonce + struct.pack(">IQ??", self.edge_id, self.generation, self.announcing, self.cut_off)
        )


def verify_answer(value: Mapping[str, Any], edge_id: int, key: str, nonce: bytes) -> PeerAnswer:
    """Return the answer of the edge that was asked; raises ValueError (`ForgedAnswer`).

    `key` is the edge's in the table, base64.
    """
    answer = PeerAnswer(
        read_integer(value, "edge_id", 1, MAXIMUM_EDGE_ID),
        read_integer(value, "generation", 0, LARGEST_GENERATION),
        _read_flag(value, "announcing"),
        _read_flag(value, "cut_off"),
    )
    signature = value.get("signature")
    if answer.edge_id != edge_id or not isinstance(signature, str):
        raise ForgedAnswer("another edge's answer, or none")
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
        public.verify(base64.b64decode(signature, validate=True), answer._signed_bytes(nonce))
    except InvalidSignature:
        raise ForgedAnswer("not signed by the edge's key over this nonce") from None
    return answer


def _read_flag(value: Mapping[str, Any], name: str) -> bool:
    flag = value.get(name)
    if not isinstance(flag, bool):
        raise ValueError(f"{name}: not true or false")
    return flag
