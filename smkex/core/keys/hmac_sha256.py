"""HMAC-SHA-256 (RFC 2104) by two calls of `hashlib`: a handshake computes some twenty, of few bytes each.

`hmac.digest` looks its algorithm up in OpenSSL each time, and takes twice as long as both hashes.
"""

from hashlib import sha256
from typing import Final

BLOCK_LENGTH: Final = 64  # bytes of a block of SHA-256
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


class HmacKey:
    """A key of at most 64 bytes, prepared for many messages."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes | bytearray) -> None:
        if len(key) > BLOCK_LENGTH:
            raise ValueError(f"a key of {len(key)} bytes: longer ones than {BLOCK_LENGTH} are hashed first")
        block = bytes(key).ljust(BLOCK_LENGTH, b"\0")
        self._inner = block.translate(_INNER_PAD)
        self._outer = block.translate(_OUTER_PAD)

    def digest(self, message: bytes) -> bytes:
        """Return the MAC of `message` (32 bytes)."""
        return sha256(self._outer + sha256(self._inner + message).digest()).digest()

    def __repr__(self) -> str:
        return "HmacKey(redacted)"


def hmac_sha256(key: bytes | bytearray, message: bytes) -> bytes:
    """Return the MAC of one message (32 bytes) under a key of at most 64 bytes."""
    return HmacKey(key).digest(message)
