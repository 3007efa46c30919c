"""The key schedule: from transcript and Diffie-Hellman outputs to every key (docs/protocol, "Keys").

PRK = HKDF-Extract(label, secrets, each length-prefixed); key = HKDF-Expand(PRK, purpose + th). The nonces of
path 1 enter through th, the hash of all four messages.
"""

import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from smkex.core.wire.codec import length_prefixed, u8
from smkex.core.wire.messages import Aead, ClientNonce

LABEL = b"sennit smkex 1"
BINDING_LABEL = b"sennit smkex 1 binding"
AEAD_NONCE_LENGTH = 12

_KEY_LENGTH = {Aead.AES_128_GCM: 16, Aead.CHACHA20_POLY1305: 32}


def compute_binding(
    client_nonce: ClientNonce, server_nonce: bytes, first: bytes, second: bytes, rest: bytes
) -> bytes:
    """Return the hash that binds path 0 to path 1 (32 bytes; SMKEX section 5).

    `first` and `second` are the messages of path 0: the frames of ClientShare and ServerShare; in mode mtls the hello
    messages of TLS, and ServerInfo.
    """
    return hashlib.sha256(
        length_prefixed(BINDING_LABEL, client_nonce.nonce, server_nonce, first, second, rest)
    ).digest()


def transcript_hash(
    first: bytes, second: bytes, client_nonce: ClientNonce, server_nonce_without_mac: bytes
) -> bytes:
    """Return th: SHA-256 over all messages in this order, ServerNonce without its MAC."""
    return hashlib.sha256(
        length_prefixed(first, second, client_nonce.frame, server_nonce_without_mac)
    ).digest()


class AeadKey:
    """A key and the IV that is XORed with a record's number (RFC 8446 section 5.3)."""

    def __init__(self, aead: Aead, key: bytes, iv: bytes) -> None:
        cipher = AESGCM(key) if aead is Aead.AES_128_GCM else ChaCha20Poly1305(key)
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt
        self._iv = int.from_bytes(iv, "big")

    def seal(self, number: int, data: bytes | memoryview, associated: bytes) -> bytes:
        return self._encrypt((self._iv ^ number).to_bytes(AEAD_NONCE_LENGTH, "big"), data, associated)

    def open(self, number: int, sealed: bytes | memoryview, associated: bytes | memoryview) -> bytes:
        """Raises `cryptography.exceptions.InvalidTag`."""
        return self._decrypt((self._iv ^ number).to_bytes(AEAD_NONCE_LENGTH, "big"), sealed, associated)

    def __repr__(self) -> str:
        return "AeadKey(redacted)"


class KeySchedule:
    """All keys of one candidate pair of nonces. `secrets` are Diffie-Hellman or exporter outputs."""

    def __init__(self, aead: Aead, secrets: Sequence[bytes], th: bytes) -> None:
        self.aead = aead
        self.th = th
        self._prk = hmac.digest(LABEL, length_prefixed(*secrets), "sha256")

    def expand(self, purpose: str, length: int) -> bytes:
        return HKDFExpand(SHA256(), length, purpose.encode("ascii") + self.th).derive(self._prk)

    def server_mac(self) -> bytes:
        """Return the MAC that ends ServerNonce and proves that the edge holds the keys (32 bytes)."""
        return hmac.digest(self.expand("server mac", 32), self.th, "sha256")

    def finished(self, path: int) -> bytes:
        """Return the MAC of Finished on `path` (32 bytes); it verifies on no other path."""
        return hmac.digest(self.expand("client finished", 32), u8(path) + self.th, "sha256")

    def ready(self, path: int) -> bytes:
        """Return the MAC of Ready on `path` (32 bytes): both Finished verified, and this path carries the session."""
        return hmac.digest(self.expand("server ready", 32), u8(path) + self.th, "sha256")

    def join_mac(self, sender: str, join: bytes) -> bytes:
        """Return the MAC of JoinChallenge ("server") or JoinResponse ("client") for join hash `join` (32 bytes)."""
        return hmac.digest(self.expand(f"{sender} join", 32), join, "sha256")

    def data_key(self, sender: str, epoch: int) -> AeadKey:
        """The key of the records that `sender` ("client" or "server") seals in `epoch`."""
        return self._aead_key(f"{sender} data {epoch}")

    def control_key(self, sender: str, path: int, join: bytes = b"") -> AeadKey:
        """The key of the control messages that `sender` seals on `path`, which joined with join hash `join`."""
        return self._aead_key(f"{sender} control {path}{' ' if join else ''}{join.hex()}")

    def _aead_key(self, purpose: str) -> AeadKey:
        return AeadKey(
            self.aead,
            self.expand(f"{purpose} key", _KEY_LENGTH[self.aead]),
            self.expand(f"{purpose} iv", AEAD_NONCE_LENGTH),
        )

    def __repr__(self) -> str:
        return "KeySchedule(redacted)"
