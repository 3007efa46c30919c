"""A client written from docs/protocol alone: it shares no code with smkex.core. For tests and vectors."""

import base64
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305


def length_prefixed(*parts: bytes) -> bytes:
    return b"".join(struct.pack("!I", len(part)) + part for part in parts)


def encode_frame(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand, RFC 5869 section 2.3; never more than two blocks here."""
    first = hmac.digest(prk, info + b"\1", "sha256")
    return (first + hmac.digest(prk, first + info + b"\2", "sha256"))[:length]


class Stranger:
    """One exchange. `aead` as on the wire: 1 AES-128-GCM, 2 ChaCha20-Poly1305."""

    def __init__(
        self, session_id: bytes, private_key: bytes, nonce: bytes, name: bytes, aead: int = 1, mode: int = 1
    ) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private_key)
        share = self._private.public_key().public_bytes_raw()
        body = b"\1" + session_id + bytes([1, mode, 1, aead]) + share + bytes([len(name)]) + name + b"\0\0"
        self.client_share = encode_frame(1, body)
        self.client_nonce = encode_frame(3, session_id + nonce)
        self._nonce = nonce
        self._aead = aead

    def receive_server_share(self, message: bytes) -> int:
        """Return the edge id."""
        self._server_share = message
        address = message[12]
        at = 4 + 8 + 1 + address + 2
        self._peers = [message[at : at + 32]]
        (certified,) = struct.unpack("!H", message[at + 32 : at + 34])
        if certified:
            self._peers.append(self._certified(message[at + 34 : at + 34 + certified]))
        return int(struct.unpack("!H", message[7:9])[0])

    def _certified(self, certificate: bytes) -> bytes:
        """Return the edge's long-term share, after the fleet key's signature; raises InvalidSignature."""
        signed, signature = certificate[:83], certificate[83:]
        fleet = signed[51:83]
        Ed25519PublicKey.from_public_bytes(fleet).verify(signature, b"sennit edge certificate 1\0" + signed)
        digest = base64.b64encode(hashlib.sha256(fleet).digest()).decode()
        self.fleet = "SHA256:" + digest.rstrip("=")
        return signed[3:35]

    def receive_server_nonce(self, message: bytes) -> bool:
        """Return whether binding and MAC verify."""
        nonce, rest = message[4:36], message[36:-64]
        bound, mac = message[-64:-32], message[-32:]
        label = b"sennit smkex 1 binding"
        covered = length_prefixed(label, self._nonce, nonce, *self._path_0(), rest)
        if hashlib.sha256(covered).digest() != bound:
            return False
        messages = length_prefixed(*self._path_0(), self.client_nonce, message[:-32])
        self.th = hashlib.sha256(messages).digest()
        self._prk = hmac.digest(b"sennit smkex 1", length_prefixed(*self._secrets()), "sha256")
        return hmac.digest(self.key("server mac", 32), self.th, "sha256") == mac

    def _path_0(self) -> tuple[bytes, bytes]:
        """Return what each end sent on path 0."""
        return self.client_share, self._server_share

    def _secrets(self) -> list[bytes]:
        return [self._private.exchange(X25519PublicKey.from_public_bytes(peer)) for peer in self._peers]

    def key(self, purpose: str, length: int) -> bytes:
        return hkdf_expand(self._prk, purpose.encode() + self.th, length)

    def finished(self, path: int) -> bytes:
        mac = hmac.digest(self.key("client finished", 32), bytes([path]) + self.th, "sha256")
        return encode_frame(5, bytes([path]) + mac)

    def ready(self, path: int) -> bytes:
        mac = hmac.digest(self.key("server ready", 32), bytes([path]) + self.th, "sha256")
        return encode_frame(7, bytes([path]) + mac)

    def seal(self, dsn: int, data: bytes, who: str = "client") -> bytes:
        head = b"\x10" + (8 + len(data) + 16).to_bytes(3, "big") + struct.pack("!Q", dsn)
        cipher, nonce = self._cipher(f"{who} data {dsn >> 34}", dsn)
        return head + cipher.encrypt(nonce, data, head)

    def open(self, record: bytes, who: str = "server") -> bytes:
        (dsn,) = struct.unpack("!Q", record[4:12])
        cipher, nonce = self._cipher(f"{who} data {dsn >> 34}", dsn)
        return cipher.decrypt(nonce, record[12:], record[:12])

    def join(self, session_id: bytes, path: int, nonce: bytes) -> bytes:
        self._join = encode_frame(8, session_id + bytes([path]) + nonce)
        return self._join

    def answer_challenge(self, challenge: bytes) -> bytes | None:
        """Return the JoinResponse, or None if the challenge's MAC does not verify."""
        self.join_hash = hashlib.sha256(length_prefixed(self._join, challenge[:-32])).digest()
        if hmac.digest(self.key("server join", 32), self.join_hash, "sha256") != challenge[-32:]:
            return None
        return encode_frame(10, hmac.digest(self.key("client join", 32), self.join_hash, "sha256"))

    def control(self, path: str, counter: int, items: bytes, who: str = "client") -> bytes:
        """`path` as in the purpose of the key: the number and, for a joined path, a space and its hash in hex."""
        head = b"\x11" + (len(items) + 16).to_bytes(3, "big")
        cipher, nonce = self._cipher(f"{who} control {path}", counter)
        return head + cipher.encrypt(nonce, items, head)

    def _cipher(self, purpose: str, number: int) -> tuple[AESGCM | ChaCha20Poly1305, bytes]:
        iv = int.from_bytes(self.key(f"{purpose} iv", 12), "big") ^ number
        if self._aead == 1:
            return AESGCM(self.key(f"{purpose} key", 16)), iv.to_bytes(12, "big")
        return ChaCha20Poly1305(self.key(f"{purpose} key", 32)), iv.to_bytes(12, "big")
