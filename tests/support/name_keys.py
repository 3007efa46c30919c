"""A fleet with an edge certified by it, and name keys that it has signed."""

import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smkex.core.handshake.config import LongTermKey
from smkex.core.keys.certificate import EdgeCertificate, fleet_key_fingerprint
from smkex.core.keys.name_key import NameKey, NamePrivateKey

FLEET_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(160, 192)))
FLEET = fleet_key_fingerprint(FLEET_KEY.public_key().public_bytes_raw())


def public_half(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def long_term(edge_id: int = 7) -> LongTermKey:
    """Valid for an hour, before and after now."""
    private, now = bytes(range(192, 224)), int(time.time())
    certificate = EdgeCertificate.issue(FLEET_KEY, edge_id, public_half(private), now - 3600, now + 3600)
    return LongTermKey(private, certificate)


def name_key(private: bytes, serial: int) -> NamePrivateKey:
    return NamePrivateKey(private, NameKey.issue(FLEET_KEY, public_half(private), serial))


OLD, NEW, NEWEST = (name_key(bytes([serial]) * 32, serial) for serial in (1, 2, 3))
