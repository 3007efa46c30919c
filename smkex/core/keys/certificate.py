"""An edge's certificate of mode tofu: the fleet's Ed25519 key signs an edge's X25519 key and its validity.

Not X.509: no delegation, no chains, no look-ups. Times are unix seconds. Each certificate carries the fleet's
revocation floor: certificates whose validity begins before the newest floor that a client has seen are revoked.
"""

import base64
import hashlib
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from smkex.core.errors import CertificateRefused, MalformedMessage
from smkex.core.wire.codec import Reader, u8, u16, u64
from smkex.core.wire.messages import SHARE_LENGTH

FORMAT_VERSION = 2
FLEET_KEY_LENGTH = 32
SIGNATURE_LENGTH = 64
LIFETIME_LIMIT = 91 * 86_400  # seconds that a certificate may be valid
# domain separation: no other signature of the fleet key can pass for a certificate
LABEL = b"sennit edge certificate 2\0"


def fleet_key_fingerprint(fleet_key: bytes) -> str:
    """Return a fleet key's fingerprint in OpenSSH's SHA256 form."""
    digest = hashlib.sha256(fleet_key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class EdgeCertificate:
    """`share` (32 bytes) is the long-term key of edge `edge_id` from `not_before` until `not_after`."""

    edge_id: int
    share: bytes
    not_before: int
    not_after: int
    floor: int
    fleet_key: bytes
    signature: bytes = field(repr=False)

    @classmethod
    def issue(
        cls,
        fleet: Ed25519PrivateKey,
        edge_id: int,
        share: bytes,
        not_before: int,
        not_after: int,
        floor: int = 0,
    ) -> "EdgeCertificate":
        """Sign a certificate. Raises ValueError for times that every client would refuse."""
        if not floor <= not_before < not_after <= not_before + LIFETIME_LIMIT:
            raise ValueError(
                f"a certificate is valid for {LIFETIME_LIMIT // 86_400} days at most, and not from before its floor"
            )
        public = fleet.public_key().public_bytes_raw()
        unsigned = cls(edge_id, share, not_before, not_after, floor, public, b"")
        return replace(unsigned, signature=fleet.sign(LABEL + unsigned._signed_fields()))

    @classmethod
    def parse(cls, data: bytes) -> "EdgeCertificate":
        """Raises `MalformedMessage`; does not verify the signature."""
        reader = Reader(data)
        if reader.u8() != FORMAT_VERSION:
            raise MalformedMessage("unknown certificate format: update this end")
        made = cls(
            reader.u16(),
            reader.take(SHARE_LENGTH),
            reader.u64(),
            reader.u64(),
            reader.u64(),
            reader.take(FLEET_KEY_LENGTH),
            reader.take(SIGNATURE_LENGTH),
        )
        reader.finish()
        return made

    def encode(self) -> bytes:
        return self._signed_fields() + self.signature

    def valid_at(self, now: int) -> bool:
        return self.not_before <= now < self.not_after

    def verify(self, edge_id: int, now: int) -> None:
        """Raise `CertificateRefused` unless the fleet key in it signed it for this edge and this time."""
        try:
            Ed25519PublicKey.from_public_bytes(self.fleet_key).verify(
                self.signature, LABEL + self._signed_fields()
            )
        except (InvalidSignature, ValueError):
            raise CertificateRefused(
                "the certificate's signature does not verify with its fleet key"
            ) from None
        if self.edge_id != edge_id:
            raise CertificateRefused(f"the certificate names edge {self.edge_id}, but edge {edge_id} sent it")
        if now < self.not_before:
            raise CertificateRefused("the certificate is not valid yet: check the clock")
        if now >= self.not_after:
            raise CertificateRefused("the certificate has expired: check the clock")
        if self.not_after - self.not_before > LIFETIME_LIMIT:
            raise CertificateRefused(
                f"the certificate is valid for more than {LIFETIME_LIMIT // 86_400} days"
            )
        self.check_floor(self.floor)

    def check_floor(self, floor: int) -> None:
        """Raise `CertificateRefused` if the fleet's revocation floor `floor` revokes it."""
        if self.not_before < floor:
            raise CertificateRefused("the certificate is revoked: the fleet has since raised its floor")

    def _signed_fields(self) -> bytes:
        return (
            u8(FORMAT_VERSION)
            + u16(self.edge_id)
            + self.share
            + u64(self.not_before)
            + u64(self.not_after)
            + u64(self.floor)
            + self.fleet_key
        )
