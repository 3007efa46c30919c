"""Record one TLS 1.3 exchange of mode mtls, which is OpenSSL's to be random in, and read it again.

A recording is what path 0 carried, record by record with who sent it, the certificate and its key (test material), and
the secrets of TLS in NSS key log format, from which every byte can be opened and the exporter derived.
"""

import datetime
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from smkex.core.handshake.server_info import ServerInfo, TlsOutcome
from smkex.core.handshake.tls import HelloTranscript, TlsClient, TlsServer, client_context, server_context
from smkex.core.wire.frame_reader import FrameReader
from smkex.core.wire.messages import Aead, Endpoint, LocatorKind, Observation
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup

HOST = "cdn.example"
CELLULAR = Observation(7, Endpoint(ip_address("198.51.100.10"), 40000))
INFO = ServerInfo(7, LocatorKind.PORT, CELLULAR)
SUITES = {
    Aead.AES_128_GCM: b"TLS_AES_128_GCM_SHA256",
    Aead.CHACHA20_POLY1305: b"TLS_CHACHA20_POLY1305_SHA256",
}

# of a certificate that servers show and that is its own authority, as strict verification wants it
USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def identity() -> tuple[bytes, bytes]:
    """A certificate of HOST that is its own authority, for a century, and its key: both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test material, not a secret")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2124, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def contexts(
    certificate: bytes, key: bytes, accepted: tuple[NamedGroup, ...] = DEFAULT_GROUPS
) -> tuple[SSL.Context, SSL.Context]:
    """The client's, which trusts this certificate alone, and that of an edge which accepts these groups."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "certificate"), Path(folder, "key")
        for path, text in zip(paths, (certificate, key), strict=True):
            path.write_bytes(text)
        return client_context(paths[0]), server_context(paths[0], paths[1], accepted)


def records_of(data: bytes) -> list[bytes]:
    reader = FrameReader()
    reader.feed(data)
    found = []
    while (record := reader.next_tls_record()) is not None:
        found.append(record)
    return found


def record(aead: Aead, nonce: bytes, *, retry: bool) -> dict[str, Any]:
    """Run TLS from ClientHello to ServerInfo; `retry` makes the edge answer with a HelloRetryRequest first."""
    certificate, private = identity()
    trusting, showing = contexts(certificate, private, (NamedGroup.X25519,) if retry else DEFAULT_GROUPS)
    trusting.set_tls13_ciphersuites(SUITES[aead])
    log: list[bytes] = []
    trusting.set_keylog_callback(lambda _, line: log.append(line))
    client, server = TlsClient(trusting, HOST, nonce), TlsServer(showing)
    carried: list[tuple[str, bytes]] = []
    while client.outcome is None:
        for sender, end, other in (("client", client, server), ("server", server, client)):
            for each in records_of(end.to_send()):
                carried.append((sender, each))
                other.receive(each)
            if sender == "client" and server.done:
                outcome = server.finish(INFO)
    assert client.outcome == outcome
    return {
        "certificate": certificate.decode(),
        "certificate_private_key": private.decode(),
        "records": [[sender, each.hex()] for sender, each in carried],
        "key_log": [line.decode() for line in log],
        "client_info": outcome.client_info.hex(),
        "group": outcome.group.name,
        "exporter": outcome.exported.hex(),
    }


def read(recorded: dict[str, Any], aead: Aead) -> TlsOutcome:
    """What both ends have after the exchange, from the recorded bytes."""
    hellos = HelloTranscript()
    for sender, data in recorded["records"]:
        hellos.take(sender, bytes.fromhex(data))
    return TlsOutcome(
        hellos.session_id,
        b"".join(hellos.messages),
        bytes.fromhex(recorded["client_info"]),
        INFO.encode(),
        aead,
        NamedGroup[recorded["group"]],
        bytes.fromhex(recorded["exporter"]),
    )
