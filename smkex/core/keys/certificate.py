"""An edge's certificate of mode tofu: the fleet's Ed25519 key says which X25519 key an edge has, and how long.

Not X.509: nothing is delegated and nothing looked up, so there is nothing to get wrong. Times are unix seconds.
"""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from smkex.core.errors import CertificateRefused, MalformedMessage
from smkex.core.wire.codec import Reader, u8, u16, u64
from smkex.core.wire.messages import SHARE

FORM = 1
FLEET_KEY = 32
SIGNATURE = 64
# what the fleet key signs begins with this, so that no other signature of it can be taken for a certificate
LABEL = b"sennit edge certificate 1\0"


def fingerprint(fleet_key: bytes) -> str:
    """Name a fleet key for people and files, as ssh does (RFC 4716 aside, OpenSSH's SHA256 form)."""
    digest = hashlib.sha256(fleet_key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class EdgeCertificate:
    """`share` (32 bytes) is the long-term key of edge `edge_id` from `not_before` until `not_after`."""

    edge_id: int
    share: bytes
    not_before: int
    not_after: int
    fleet_key: bytes
    signature: bytes = field(repr=False)

    @classmethod
    def issue(
        cls, fleet: Ed25519PrivateKey, edge_id: int, share: bytes, not_before: int, not_after: int
    ) -> "EdgeCertificate":
        public = fleet.public_key().public_bytes_raw()
        unsigned = cls(edge_id, share, not_before, not_after, public, b"")
        return cls(edge_id, share, not_before, not_after, public, fleet.sign(LABEL + unsigned._signed()))

    @classmethod
    def parse(cls, data: bytes) -> "EdgeCertificate":
        """Raises `MalformedMessage`; says nothing yet about whether it is genuine."""
        reader = Reader(data)
        if reader.u8() != FORM:
            raise MalformedMessage("a certificate of another form")
        made = cls(
            reader.u16(),
            reader.take(SHARE),
            reader.u64(),
            reader.u64(),
            reader.take(FLEET_KEY),
            reader.take(SIGNATURE),
        )
        reader.finish()
        return made

    def encode(self) -> bytes:
        return self._signed() + self.signature

    def valid_at(self, now: int) -> bool:
        return self.not_before <= now < self.not_after

    def verify(self, edge_id: int, now: int) -> None:
        """Raise `CertificateRefused` unless the fleet key in it signed it for this edge and this time."""
        try:
            Ed25519PublicKey.from_public_bytes(self.fleet_key).verify(self.signature, LABEL + self._signed())
        except (InvalidSignature, ValueError):
            raise CertificateRefused("its signature is not the fleet key's") from None
        if self.edge_id != edge_id:
            raise CertificateRefused(f"it is edge {self.edge_id}'s, and came from edge {edge_id}")
        if now < self.not_before:
            raise CertificateRefused("it is not valid yet: is the clock right?")
        if now >= self.not_after:
            raise CertificateRefused("it has expired: is the clock right?")

    def _signed(self) -> bytes:
        return (
            u8(FORM)
            + u16(self.edge_id)
            + self.share
            + u64(self.not_before)
            + u64(self.not_after)
            + self.fleet_key
        )
