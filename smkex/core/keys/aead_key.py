"""A secret's AEAD key and IV, and HKDF-Expand of one block (RFC 5869 section 2.3): no key here is longer."""

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from smkex.core.keys.hmac_sha256 import HmacKey, hmac_sha256
from smkex.core.wire.messages import Aead

AEAD_NONCE_LENGTH: Final = 12
SECRET_LENGTH: Final = 32
KEY_LENGTH = {Aead.AES_128_GCM: 16, Aead.CHACHA20_POLY1305: 32}

# called with the name, key and IV of each AEAD key when it is derived: for key logs
KeyReport = Callable[[str, bytes, bytes], None]


def expand_secret(secret: bytes | bytearray, info: bytes, length: int = SECRET_LENGTH) -> bytes:
    """HKDF-Expand with SHA-256 to at most 32 bytes."""
    return hmac_sha256(secret, info + b"\1")[:length]


class AeadKey:
    """A key and the IV that is XORed with a record's number (RFC 8446 section 5.3)."""

    __slots__ = ("_aead", "_cipher", "_iv", "_key")

    def __init__(self, aead: Aead, key: bytes, iv: bytes) -> None:
        self._aead = aead
        self._key = bytearray(key)
        self._iv = int.from_bytes(iv, "big")
        self._cipher: AESGCM | ChaCha20Poly1305 | None = None

    def seal(self, number: int, data: bytes | memoryview, associated: bytes) -> bytes:
        cipher = self._cipher or self._make_cipher()
        return cipher.encrypt((self._iv ^ number).to_bytes(AEAD_NONCE_LENGTH, "big"), data, associated)

    def open(self, number: int, sealed: bytes | memoryview, associated: bytes | memoryview) -> bytes:
        """Raises `cryptography.exceptions.InvalidTag`."""
        cipher = self._cipher or self._make_cipher()
        return cipher.decrypt((self._iv ^ number).to_bytes(AEAD_NONCE_LENGTH, "big"), sealed, associated)

    def release_cipher(self) -> None:
        """Free the cipher's state until it is used again: 2.5 KB of AES-GCM, made within 2 microseconds."""
        self._cipher = None

    def erase(self) -> None:
        """Overwrite the key, which opens and seals nothing any more."""
        self._cipher = None
        self._key[:] = bytes(len(self._key))

    def _make_cipher(self) -> AESGCM | ChaCha20Poly1305:
        made = AESGCM(self._key) if self._aead is Aead.AES_128_GCM else ChaCha20Poly1305(self._key)
        self._cipher = made
        return made

    def __repr__(self) -> str:
        return "AeadKey(redacted)"


def expand_aead_key(
    aead: Aead, secret: bytes | bytearray, label: bytes, name: str = "", report: KeyReport | None = None
) -> AeadKey:
    """Return key and IV of a secret; `label` names protocol, version and mode; `report` is called with `name`."""
    mac = HmacKey(secret)
    key = mac.digest(label + b" key\1")[: KEY_LENGTH[aead]]
    iv = mac.digest(label + b" iv\1")[:AEAD_NONCE_LENGTH]
    if report is not None:
        report(name, key, iv)
    return AeadKey(aead, key, iv)
