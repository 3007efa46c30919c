"""How edges of one fleet know each other: mutual TLS 1.3 with a certificate that each makes from the fleet's key.

The private key (Ed25519) is derived from the fleet's secret, and the certificate's content is fixed, so every edge has
the same one; each accepts that one alone. TLS brings freshness, secrecy and the integrity of both directions.
"""

import datetime
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

LABEL = b"sennit shield identity v1"
NAME = "shield.sennit"  # the only name that its certificate has
# fixed, so that the certificates of all edges are equal, and no clock decides: a new fleet key replaces it
_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_UNTIL = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)
_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class FleetIdentity:
    """The TLS contexts of one fleet key (32 bytes): as a server, and as a client."""

    def __init__(self, fleet_key: bytes) -> None:
        seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=LABEL).derive(fleet_key)
        key = Ed25519PrivateKey.from_private_bytes(seed)
        certificate = _make_certificate(key).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.server = _make_context(ssl.PROTOCOL_TLS_SERVER, certificate, secret)
        self.client = _make_context(ssl.PROTOCOL_TLS_CLIENT, certificate, secret)


def _make_certificate(key: Ed25519PrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, None)
    )


def _make_context(side: int, certificate: bytes, secret: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if side == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # each connection proves anew who it is
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=certificate.decode("ascii"))
    descriptor = os.memfd_create("shield", os.MFD_CLOEXEC)  # OpenSSL reads keys from files only
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(certificate + secret)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
