"""Keys and certificates as text, for files: PEM (RFC 7468), so that other tools can read and make the keys."""

import base64
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from smkex.core.errors import CertificateRefused, MalformedMessage
from smkex.core.keys.certificate import EdgeCertificate
from smkex.core.keys.name_key import KEPT_KEYS, NameKey, NamePrivateKey
from smkex.core.wire.messages import SHARE_LENGTH

_BEGIN, _END = "-----BEGIN SENNIT EDGE CERTIFICATE-----", "-----END SENNIT EDGE CERTIFICATE-----"


class KeyFileDamaged(ValueError):
    """The file does not hold the expected key or certificate in PEM."""


def private_pem(key: X25519PrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: X25519PublicKey | Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_fleet_key(text: bytes) -> Ed25519PrivateKey:
    """Raises `KeyFileDamaged`."""
    key = _load_private_key(text)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileDamaged("not an Ed25519 private key")
    return key


def read_edge_key(text: bytes) -> X25519PrivateKey:
    """Raises `KeyFileDamaged`."""
    key = _load_private_key(text)
    if not isinstance(key, X25519PrivateKey):
        raise KeyFileDamaged("not an X25519 private key")
    return key


def read_edge_public_key(text: bytes) -> X25519PublicKey:
    """Raises `KeyFileDamaged`."""
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileDamaged("not a public key in PEM") from None
    if not isinstance(key, X25519PublicKey):
        raise KeyFileDamaged("not an X25519 public key")
    return key


def _load_private_key(text: bytes) -> object:
    try:
        return load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileDamaged("not a private key in PEM without a pass phrase") from None


def certificate_pem(certificate: EdgeCertificate) -> str:
    text = base64.b64encode(certificate.encode()).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def read_certificate(text: str) -> EdgeCertificate:
    """Raises `KeyFileDamaged`; `EdgeCertificate.verify` verifies the signature."""
    lines = text.split()
    inside = text.strip().removeprefix(_BEGIN).removesuffix(_END)
    if not lines or inside == text.strip():
        raise KeyFileDamaged("not an edge certificate in PEM")
    try:
        return EdgeCertificate.parse(base64.b64decode("".join(inside.split()), validate=True))
    except (ValueError, MalformedMessage) as error:
        raise KeyFileDamaged(f"not an edge certificate: {error}") from None


def name_keys_text(keys: Sequence[NamePrivateKey]) -> str:
    """The file of an edge's name keys: a line for each, both halves in base64, the one that clients are given first."""
    return "".join(f"{base64.b64encode(key.private_key + key.signed.encode()).decode()}\n" for key in keys)


def read_name_keys(text: str) -> tuple[NamePrivateKey, ...]:
    """Read one or two lines of `name_keys_text`, and verify their signatures. Raises `KeyFileDamaged`."""
    lines = text.split()
    if not 1 <= len(lines) <= KEPT_KEYS:
        raise KeyFileDamaged("one or two lines with name keys are expected")
    return tuple(map(_read_name_key, lines))


def _read_name_key(line: str) -> NamePrivateKey:
    try:
        data = base64.b64decode(line, validate=True)
        private, signed = data[:SHARE_LENGTH], NameKey.parse(data[SHARE_LENGTH:])
        signed.verify()
        public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    except (ValueError, MalformedMessage, CertificateRefused) as error:
        raise KeyFileDamaged(f"not a name key: {error}") from None
    if public != signed.public:
        raise KeyFileDamaged("the signed half of a name key is not that of its private half")
    return NamePrivateKey(private, signed)
