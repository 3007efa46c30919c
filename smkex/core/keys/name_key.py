"""The fleet's name key: an X25519 key, signed by the fleet key, under which clients seal server names.

Every edge of the fleet holds the private half. Clients keep the newest that they have seen: its serial is the unix time
at which it was made.
"""

from collections.abc import Container
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from smkex.core.errors import AbortCode, CertificateRefused, MalformedMessage, PeerAborted
from smkex.core.keys.certificate import FLEET_KEY_LENGTH, SIGNATURE_LENGTH, fleet_key_fingerprint
from smkex.core.wire.codec import Reader, u8, u64
from smkex.core.wire.messages import SHARE_LENGTH

FORMAT_VERSION = 1
NAME_KEY_LENGTH = 1 + 8 + SHARE_LENGTH + FLEET_KEY_LENGTH + SIGNATURE_LENGTH
KEPT_KEYS = 2  # at an edge: the one that clients are given, and one more that it opens names with
# domain separation: no other signature of the fleet key can pass for a name key's
LABEL = b"sennit name key 1\0"


@dataclass(frozen=True, slots=True)
class NameKey:
    """The public half (32 bytes) with the fleet's signature."""

    serial: int
    public: bytes
    fleet_key: bytes
    signature: bytes = field(repr=False)

    @classmethod
    def issue(cls, fleet: Ed25519PrivateKey, public: bytes, serial: int) -> "NameKey":
        unsigned = cls(serial, public, fleet.public_key().public_bytes_raw(), b"")
        return replace(unsigned, signature=fleet.sign(LABEL + unsigned._signed_fields()))

    @classmethod
    def parse(cls, data: bytes) -> "NameKey":
        """Raises `MalformedMessage`; does not verify the signature."""
        reader = Reader(data)
        if reader.u8() != FORMAT_VERSION:
            raise MalformedMessage("unknown form of a name key: update this end")
        made = cls(
            reader.u64(),
            reader.take(SHARE_LENGTH),
            reader.take(FLEET_KEY_LENGTH),
            reader.take(SIGNATURE_LENGTH),
        )
        reader.finish()
        return made

    def encode(self) -> bytes:
        return self._signed_fields() + self.signature

    def verify(self) -> None:
        """Raise `CertificateRefused` unless the fleet key in it signed it."""
        try:
            Ed25519PublicKey.from_public_bytes(self.fleet_key).verify(
                self.signature, LABEL + self._signed_fields()
            )
        except (InvalidSignature, ValueError):
            raise CertificateRefused("the name key's signature does not verify with its fleet key") from None

    def replaces(self, held: "NameKey | None") -> bool:
        """Whether a client that holds `held` takes this one: older keys, which may have leaked, never come back."""
        return held is None or self.serial > held.serial

    def _signed_fields(self) -> bytes:
        return u8(FORMAT_VERSION) + u64(self.serial) + self.public + self.fleet_key


@dataclass(frozen=True, slots=True)
class NamePrivateKey:
    """Both halves, as edges hold them."""

    private_key: bytes = field(repr=False)
    signed: NameKey


def read_replacement(
    refusal: PeerAborted, held: NameKey | None, fleet_keys: Container[str]
) -> NameKey | None:
    """Return the newer name key with which an edge refused a sealed name, None if there is none to be trusted.

    Nothing authenticates the refusal; the key counts by the signature of a fleet key that the client remembers.
    """
    if held is None or refusal.authenticated or refusal.peer_code != AbortCode.NAME_NOT_OPENED:
        return None
    try:
        shown = NameKey.parse(refusal.peer_detail)
        shown.verify()
    except (MalformedMessage, CertificateRefused):
        return None
    remembered = fleet_key_fingerprint(shown.fleet_key) in fleet_keys
    return shown if remembered and shown.replaces(held) else None
