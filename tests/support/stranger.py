"""A client written from docs/protocol alone: it shares no code with smkex.core. For tests and vectors."""

import base64
import hashlib
import hmac
import struct

import hpke_stranger
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

HYBRID, CLASSICAL = 0x11EC, 0x001D
MODES = {1: "opportunistic", 2: "tofu", 3: "mtls"}


def length_prefixed(*parts: bytes) -> bytes:
    return b"".join(struct.pack("!I", len(part)) + part for part in parts)


def vec8(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def vec16(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def encode_frame(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand, RFC 5869 section 2.3; never more than two blocks here."""
    first = hmac.digest(prk, info + b"\1", "sha256")
    return (first + hmac.digest(prk, first + info + b"\2", "sha256"))[:length]


def commitment(session_id: bytes, nonce: bytes) -> bytes:
    return hashlib.sha256(length_prefixed(b"sennit smkex 2 commitment", session_id, nonce)).digest()


class Stranger:
    """One exchange. `aead` as on the wire: 1 AES-128-GCM, 2 ChaCha20-Poly1305; `groups` in the order of preference."""

    group = HYBRID  # that was chosen

    def __init__(
        self,
        session_id: bytes,
        private_key: bytes,
        nonce: bytes,
        name: bytes,
        aead: int = 1,
        mode: int = 1,
        *,
        kem_seed: bytes = bytes(64),
        groups: tuple[int, ...] = (HYBRID, CLASSICAL),
        name_key: bytes = b"",
        ephemeral: bytes = b"",
    ) -> None:
        """With a name key (as remembered of the host) the name goes sealed, by this ephemeral key of HPKE."""
        self._x25519 = X25519PrivateKey.from_private_bytes(private_key)
        self._mlkem = MLKEM768PrivateKey.from_seed_bytes(kem_seed)
        public = self._x25519.public_key().public_bytes_raw()
        shares = {HYBRID: self._mlkem.public_key().public_bytes_raw() + public, CLASSICAL: public}
        offers = vec8(b"\2") + vec8(bytes([mode])) + vec8(bytes([aead])) + commitment(session_id, nonce)
        offered = vec16(b"".join(struct.pack("!H", group) + vec16(shares[group]) for group in groups))
        fields = b"\2" + session_id + offers + offered
        self.client_share = encode_frame(1, fields + vec8(name) + vec16(b""))
        if name_key:
            padded = vec8(name) + bytes(-(1 + len(name)) % 32)

            def share(sealed: bytes) -> bytes:
                return encode_frame(1, fields + vec8(b"") + vec16(b"\0\1" + vec16(sealed)))

            info = length_prefixed(b"sennit smkex 2 server name", share(bytes(48 + len(padded))))
            public = self._name_key_public(name_key)
            self.client_share = share(hpke_stranger.seal(public, ephemeral, info, b"", padded))
        self.given_name_key = b""
        self.client_nonce = encode_frame(3, session_id + nonce)
        self._nonce, self._aead, self._mode = nonce, aead, mode

    def receive_server_share(self, message: bytes) -> int:
        """Return the edge id."""
        self._server_share = message
        (edge_id,) = struct.unpack("!H", message[7:9])
        at = 4 + 8  # header; version, mode, AEAD, edge id, locator, ingress id
        at += 1 + message[at] + 2
        group, length = struct.unpack("!HH", message[at : at + 4])
        share, at = message[at + 4 : at + 4 + length], at + 4 + length
        secret = self._exchange(share[-32:])
        if group == HYBRID:
            secret = self._mlkem.decapsulate(share[:1088]) + secret
        self._agreed, self.group = [secret], group
        (length,) = struct.unpack("!H", message[at : at + 2])
        if length:
            self._agreed.append(self._exchange(self._certified(message[at + 2 : at + 2 + length])))
        at += 2 + length + 2
        if message[at : at + 2] == b"\0\1":
            self.given_name_key = message[at + 4 :]
            self._name_key_public(self.given_name_key)
        return int(edge_id)

    def _name_key_public(self, key: bytes) -> bytes:
        """Return the X25519 key in a name key, after the fleet key's signature; raises InvalidSignature."""
        signed, signature = key[:73], key[73:]
        assert signed[0] == 1
        Ed25519PublicKey.from_public_bytes(signed[41:]).verify(signature, b"sennit name key 1\0" + signed)
        return signed[9:41]

    def _exchange(self, share: bytes) -> bytes:
        return self._x25519.exchange(X25519PublicKey.from_public_bytes(share))

    def _certified(self, certificate: bytes) -> bytes:
        """Return the edge's long-term share, after the fleet key's signature; raises InvalidSignature."""
        signed, signature = certificate[:-64], certificate[-64:]
        begins, ends, self.floor = struct.unpack("!QQQ", signed[35:59])
        assert self.floor <= begins < ends <= begins + 7_862_400
        fleet = signed[59:91]
        Ed25519PublicKey.from_public_bytes(fleet).verify(signature, b"sennit edge certificate 2\0" + signed)
        digest = base64.b64encode(hashlib.sha256(fleet).digest()).decode()
        self.fleet = "SHA256:" + digest.rstrip("=")
        return signed[3:35]

    def receive_server_nonce(self, message: bytes) -> bool:
        """Return whether binding and MAC verify."""
        nonce, rest = message[4:36], message[36:-64]
        bound, mac = message[-64:-32], message[-32:]
        covered = length_prefixed(self._label + b" binding", self._nonce, nonce, *self._path_0(), rest)
        if hashlib.sha256(covered).digest() != bound:
            return False
        messages = length_prefixed(*self._path_0(), self.client_nonce, message[:-32])
        self.th = hashlib.sha256(messages).digest()
        self._prk = hmac.digest(self._label, length_prefixed(*self._secrets()), "sha256")
        self.step, self._epochs = 0, {"client": 0, "server": 0}
        return hmac.digest(self.root("server mac"), self.th, "sha256") == mac

    @property
    def _label(self) -> bytes:
        return f"sennit smkex 2 {MODES[self._mode]}".encode()

    def _path_0(self) -> tuple[bytes, bytes]:
        """Return what each end sent on path 0."""
        return self.client_share, self._server_share

    def _secrets(self) -> list[bytes]:
        return self._agreed

    def root(self, purpose: str) -> bytes:
        return hkdf_expand(self._prk, self._label + b" " + purpose.encode() + self.th, 32)

    def begin_step(
        self, private_key: bytes, kem_seed: bytes, nonce: bytes, epoch: int, paths: tuple[int, int] = (0, 1)
    ) -> tuple[bytes, bytes]:
        """Return the bodies of StepShare and StepNonce of the next key step's first attempt."""
        self._x25519 = X25519PrivateKey.from_private_bytes(private_key)
        self._mlkem = MLKEM768PrivateKey.from_seed_bytes(kem_seed)
        share = self._x25519.public_key().public_bytes_raw()
        if self.group == HYBRID:
            share = self._mlkem.public_key().public_bytes_raw() + share
        head = struct.pack("!QI", self.step + 1, 1)
        self._step_share = b"\1" + head + bytes(paths) + struct.pack("!Q", epoch) + vec16(share)
        self._step_nonce = b"\3" + head + nonce
        self._step_epochs = {"client": epoch}
        self._nonce = nonce
        return self._step_share, self._step_nonce

    def finish_step(self, answer: bytes, binding: bytes) -> bytes | None:
        """Return the body of StepFinished, and go over to the step; None where binding or MAC do not verify."""
        head = struct.pack("!QI", self.step + 1, 1)
        assert (answer[:13], binding[:13]) == (b"\2" + head, b"\4" + head)
        (self._step_epochs["server"],) = struct.unpack("!Q", answer[13:21])
        share = answer[23:]
        label = self._label + b" step"
        bound = length_prefixed(label + b" binding", self._nonce, binding[13:45], self._step_share, answer)
        if hashlib.sha256(bound).digest() != binding[45:77]:
            return None
        secret = self._exchange(share[-32:])
        if self.group == HYBRID:
            secret = self._mlkem.decapsulate(share[:1088]) + secret
        transcript = length_prefixed(label, self._step_share, answer, self._step_nonce, binding[:-32])
        rk = self.root("step")
        self.th = hashlib.sha256(transcript).digest()
        self._prk = hmac.digest(rk, length_prefixed(secret), "sha256")
        if hmac.digest(self.root("server mac"), self.th, "sha256") != binding[-32:]:
            return None
        self.step += 1
        self._epochs = self._step_epochs
        return b"\5" + head + hmac.digest(self.root("client finished"), self.th, "sha256")

    def epoch_secret(self, who: str, epoch: int) -> bytes:
        secret = self.root(f"{who} data")
        for _ in range(epoch - self._epochs[who]):
            secret = hkdf_expand(secret, self._label + b" next", 32)
        return secret

    def control_secret(self, who: str, path: int, join_hash: bytes = b"") -> bytes:
        return hkdf_expand(
            self.root(f"{who} control"), self._label + b" path" + bytes([path]) + join_hash, 32
        )

    def key_and_iv(self, secret: bytes) -> tuple[bytes, bytes]:
        length = 16 if self._aead == 1 else 32
        return hkdf_expand(secret, self._label + b" key", length), hkdf_expand(
            secret, self._label + b" iv", 12
        )

    def export(self, label: str, context: bytes, length: int) -> bytes:
        info = self._label + b" export" + length_prefixed(label.encode(), context)
        return hkdf_expand(self.root("exporter"), info, length)

    def finished(self, path: int) -> bytes:
        mac = hmac.digest(self.root("client finished"), bytes([path]) + self.th, "sha256")
        return encode_frame(5, bytes([path]) + mac)

    def ready(self, path: int) -> bytes:
        mac = hmac.digest(self.root("server ready"), bytes([path]) + self.th, "sha256")
        return encode_frame(7, bytes([path]) + mac)

    def seal(self, dsn: int, data: bytes, who: str = "client") -> bytes:
        field = self.step % 4 << 62 | dsn
        head = b"\x10" + (8 + len(data) + 16).to_bytes(3, "big") + struct.pack("!Q", field)
        cipher, nonce = self._cipher(self.epoch_secret(who, dsn >> 24), dsn)
        return head + cipher.encrypt(nonce, data, head)

    def open(self, record: bytes, who: str = "server") -> bytes:
        (field,) = struct.unpack("!Q", record[4:12])
        assert field >> 62 == self.step % 4
        dsn = field & (1 << 62) - 1
        cipher, nonce = self._cipher(self.epoch_secret(who, dsn >> 24), dsn)
        return cipher.decrypt(nonce, record[12:], record[:12])

    def join(self, session_id: bytes, path: int, nonce: bytes) -> bytes:
        self._join = encode_frame(8, session_id + struct.pack("!Q", self.step) + bytes([path]) + nonce)
        return self._join

    def answer_challenge(self, challenge: bytes) -> bytes | None:
        """Return the JoinResponse, or None if the challenge's MAC does not verify."""
        self.join_hash = hashlib.sha256(length_prefixed(self._join, challenge[:-32])).digest()
        if hmac.digest(self.root("server join"), self.join_hash, "sha256") != challenge[-32:]:
            return None
        return encode_frame(10, hmac.digest(self.root("client join"), self.join_hash, "sha256"))

    def control(
        self,
        path: int,
        counter: int,
        items: bytes,
        who: str = "client",
        join_hash: bytes = b"",
        kind: int = 17,
    ) -> bytes:
        """Seal a control message, or by `kind` a message of a key step (18) or a Switch (19)."""
        head = bytes([kind]) + (len(items) + 16).to_bytes(3, "big")
        cipher, nonce = self._cipher(self.control_secret(who, path, join_hash), counter)
        return head + cipher.encrypt(nonce, items, head)

    def _cipher(self, secret: bytes, number: int) -> tuple[AESGCM | ChaCha20Poly1305, bytes]:
        key, iv = self.key_and_iv(secret)
        nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
        return (AESGCM(key) if self._aead == 1 else ChaCha20Poly1305(key)), nonce
