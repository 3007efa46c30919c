"""Keys of WireGuard: X25519, written in base64 of one canonical form."""

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_SIZE = 32  # bytes


def create_private_key() -> bytes:
    """Return a new private key."""
    return X25519PrivateKey.generate().private_bytes_raw()


def derive_public_key(private_key: bytes) -> bytes:
    """Return the public half of a private key."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def encode_key(key: bytes) -> str:
    """Return a key as WireGuard's tools write it."""
    return base64.b64encode(key).decode()


def parse_key(text: object) -> bytes:
    """Return the key of a text; ValueError unless it is the one text of this key."""
    try:
        key = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        key = b""
    if len(key) != KEY_SIZE or encode_key(key) != text:
        raise ValueError(f"not a key of WireGuard, {KEY_SIZE} bytes in base64")
    return key
