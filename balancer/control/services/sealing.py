"""The encryption of services' secrets at rest (AES-256-GCM).

The key is derived from the key that signs tables, which is in the state folder and not in the database: all instances
have it, a backup of the state folder has it, and the database alone is not enough to open a secret.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from balancer.control.table.signing_key import SigningKeys

LABEL = b"sennit service secrets v1"
KEY_BYTES = 32
NONCE_BYTES = 12


class SecretUnreadable(Exception):
    """The stored value was sealed with another key, or for another secret."""


class SecretSeal:
    """Seals values, each for one secret of one service: a value that is moved to another one does not open."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    def _make_cipher(self) -> AESGCM:
        """Return the cipher of the key in use: a rotation encrypts every stored secret again."""
        derivation = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=LABEL)
        return AESGCM(derivation.derive(self._keys.current.private_bytes_raw()))

    def seal_value(self, service: str, name: str, value: str) -> bytes:
        """Encrypt a value; a fresh nonce stands before it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._make_cipher().encrypt(nonce, value.encode(), _bound_to(service, name))

    def open_value(self, service: str, name: str, sealed: bytes) -> str:
        """Decrypt a value; raises `SecretUnreadable`."""
        nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._make_cipher().decrypt(nonce, text, _bound_to(service, name)).decode()
        except (InvalidTag, ValueError):
            raise SecretUnreadable(
                f"secret {name} of {service}: not sealed with this control plane's key"
            ) from None


def _bound_to(service: str, name: str) -> bytes:
    return f"{service}/{name}".encode()  # DNS labels: neither has a slash
