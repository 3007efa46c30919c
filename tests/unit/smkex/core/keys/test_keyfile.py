"""Keys and certificates in files: what is written is read again, and what is something else is refused by name."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from smkex.core.keys.certificate import EdgeCertificate
from smkex.core.keys.keyfile import (
    KeyFileDamaged,
    certificate_pem,
    private_pem,
    public_pem,
    read_certificate,
    read_edge_key,
    read_edge_public_key,
    read_fleet_key,
)

FLEET = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
EDGE = X25519PrivateKey.from_private_bytes(bytes([2]) * 32)
CERTIFICATE = EdgeCertificate.issue(FLEET, 7, EDGE.public_key().public_bytes_raw(), 10, 20)


def test_what_was_written_is_read_again() -> None:
    assert read_fleet_key(private_pem(FLEET)).private_bytes_raw() == FLEET.private_bytes_raw()
    assert read_edge_key(private_pem(EDGE)).private_bytes_raw() == EDGE.private_bytes_raw()
    assert read_edge_public_key(public_pem(EDGE.public_key())) == EDGE.public_key()
    assert read_certificate(certificate_pem(CERTIFICATE)) == CERTIFICATE
    assert read_certificate(certificate_pem(CERTIFICATE).replace("\n", "\r\n")) == CERTIFICATE


def test_one_key_is_not_taken_for_another() -> None:
    with pytest.raises(KeyFileDamaged, match="not an Ed25519"):
        read_fleet_key(private_pem(EDGE))
    with pytest.raises(KeyFileDamaged, match="not an X25519"):
        read_edge_key(private_pem(FLEET))
    with pytest.raises(KeyFileDamaged, match="not an X25519 public"):
        read_edge_public_key(public_pem(FLEET.public_key()))


def test_what_is_no_key_is_refused() -> None:
    for text in (b"", b"no key", public_pem(EDGE.public_key())):
        with pytest.raises(KeyFileDamaged, match="not a private key"):
            read_edge_key(text)
    with pytest.raises(KeyFileDamaged, match="not a public key"):
        read_edge_public_key(private_pem(EDGE))


def test_a_key_with_a_pass_phrase_is_refused_with_that_reason() -> None:
    locked = FLEET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(KeyFileDamaged, match="pass phrase"):
        read_fleet_key(locked)


@pytest.mark.parametrize("damage", ["", "-----BEGIN CERTIFICATE-----", "Zürich", "====", "AAAA"])
def test_a_damaged_certificate_is_refused(damage: str) -> None:
    """Nothing, another kind, characters that are no base 64, base 64 of something else."""
    whole = certificate_pem(CERTIFICATE)
    begin, end = whole.split("\n")[0], whole.split("\n")[-2]
    with pytest.raises(KeyFileDamaged):
        read_certificate(damage)
    with pytest.raises(KeyFileDamaged):
        read_certificate(f"{begin}\n{damage}\n{end}\n")
