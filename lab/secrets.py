"""The lab's secrets, made afresh at every start: an authority, the control plane's certificate, tokens."""

import datetime
import ipaddress
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = datetime.timedelta(days=30)


def write_secret(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_token(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    write_secret(path, token + "\n")
    return token


SERVICE = "service"


def make_certificates(folder: Path, **servers: tuple[str, ...]) -> None:
    """Write ca.pem, an authority made for this alone, and NAME.pem and NAME.key for servers and their hosts.

    Hosts are names and addresses: `make_certificates(folder, control=("10.255.0.100",), service=("cdn.lab",))`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    issuer = _common_name("sennit lab authority")
    authority = _sign(issuer, issuer, authority_key.public_key(), authority_key, ())
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name, hosts in servers.items():
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(
            _common_name(f"sennit lab {name}"), issuer, key.public_key(), authority_key, hosts
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_secret(
            folder / f"{name}.key",
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )


def copy_service_certificate(source: Path, edge: Path) -> None:
    """Give an edge the service's certificate and key: all edges are one service."""
    (edge / f"{SERVICE}.pem").write_bytes((source / f"{SERVICE}.pem").read_bytes())
    write_secret(edge / f"{SERVICE}.key", (source / f"{SERVICE}.key").read_bytes())


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    hosts: tuple[str, ...],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    usage = _key_usage(digital_signature=bool(hosts), key_cert_sign=not hosts, crl_sign=not hosts)
    builder = builder.add_extension(usage, critical=True)
    if hosts:
        names = [_host_name(host) for host in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _key_usage(**allowed: bool) -> x509.KeyUsage:
    none = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**none | allowed)
