"""Mode mtls for the stranger's client: TLS 1.3 read from its bytes and its key log, without OpenSSL.

Written from docs/protocol and RFC 8446 alone. It opens what the edge said inside TLS, and derives the exporter.
"""

import hashlib
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from stranger import Stranger, encode_frame, hkdf_expand

RETRY = hashlib.sha256(b"HelloRetryRequest").digest()  # RFC 8446 section 4.1.3


def expand_label(secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label, RFC 8446 section 7.1."""
    name = b"tls13 " + label.encode()
    info = struct.pack("!HB", length, len(name)) + name + bytes([len(context)]) + context
    return hkdf_expand(secret, info, length)


def exporter(secret: bytes, label: str, length: int) -> bytes:
    """RFC 8446 section 7.5, with no context."""
    nothing = hashlib.sha256(b"").digest()
    return expand_label(expand_label(secret, label, nothing, 32), "exporter", nothing, length)


def hellos_of(records: list[tuple[str, bytes]]) -> list[bytes]:
    """The handshake messages in clear of both directions, until the final ServerHello."""
    partial = {"client": b"", "server": b""}
    found: list[bytes] = []
    for sender, record in records:
        if record[0] != 22:
            continue
        partial[sender] += record[5:]
        while len(partial[sender]) >= 4 + int.from_bytes(partial[sender][1:4], "big"):
            end = 4 + int.from_bytes(partial[sender][1:4], "big")
            message, partial[sender] = partial[sender][:end], partial[sender][end:]
            found.append(message)
            if sender == "server" and message[6:38] != RETRY:
                return found
            if not partial[sender]:
                break
    raise ValueError("no final ServerHello")


class TlsStranger(Stranger):
    """The stranger after TLS on path 0: `records` with who sent each, `log` the lines of an NSS key log."""

    def __init__(self, records: list[tuple[str, bytes]], log: list[str], nonce: bytes, aead: int) -> None:
        hellos = hellos_of(records)
        self.hellos = b"".join(hellos)
        self.session_id = hashlib.sha256(hellos[0]).digest()[:16]
        secrets = {label: bytes.fromhex(secret) for label, _, secret in map(str.split, log)}
        self._aead, self._mode = aead, 3
        self.client_info = self._said_by("client", records, secrets)
        self.server_info = self._said_by("server", records, secrets)
        self.exporter = exporter(secrets["EXPORTER_SECRET"], "EXPORTER-sennit-smkex-2", 32)
        self.client_nonce = encode_frame(3, self.session_id + nonce)
        self._nonce = nonce

    @property
    def edge_id(self) -> int:
        return int.from_bytes(self.server_info[2:4], "big")

    def _path_0(self) -> tuple[bytes, bytes]:
        return self.hellos + self.client_info, self.server_info

    def _secrets(self) -> list[bytes]:
        return [self.exporter]

    def _said_by(self, who: str, records: list[tuple[str, bytes]], secrets: dict[str, bytes]) -> bytes:
        """An end's application data: records after its TLS Finished, tickets passed over."""
        sealed = [record for sender, record in records if sender == who and record[0] == 23]
        handshake, application = (
            secrets[f"{who.upper()}_{name}"] for name in ("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0")
        )
        said, inside, number = b"", handshake, 0
        for record in sealed:
            plain = self._open_tls(inside, number, record)
            number += 1
            kind, content = plain[-1], plain[:-1]
            if kind == 22 and content[0] == 20:  # Finished: from here on the keys of application data
                inside, number = application, 0
            said += content if kind == 23 else b""
        return said

    def _open_tls(self, secret: bytes, number: int, record: bytes) -> bytes:
        """RFC 8446 section 5.2, without the padding's zeros."""
        key = expand_label(secret, "key", b"", 16 if self._aead == 1 else 32)
        iv = int.from_bytes(expand_label(secret, "iv", b"", 12), "big") ^ number
        cipher = AESGCM(key) if self._aead == 1 else ChaCha20Poly1305(key)
        return cipher.decrypt(iv.to_bytes(12, "big"), record[5:], record[:5]).rstrip(b"\0")
