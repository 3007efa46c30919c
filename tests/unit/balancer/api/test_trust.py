"""A control plane whose certificate is refused: what the client says of it, and what to do."""

import asyncio
import datetime
import re
import ssl
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import certificates
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from balancer.api.client import ControlClient, Unreachable, UntrustedServer
from balancer.api.trust import PAGE

PEM = serialization.Encoding.PEM
ROOT = Path(__file__).parents[4]


@dataclass(frozen=True, slots=True)
class Chain:
    """What an operator's authority and the certificate by it are like: as they should be, but for what is set."""

    usage: bool = True
    signs: bool = True
    identified: bool = True
    critical: bool = True
    names_authority: bool = True
    days: int = 1
    address: str = "127.0.0.1"

    def write(self, folder: Path) -> None:
        """Write ca.pem, control.pem and control.key."""
        authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root = self._begin("authority", authority)
        root = root.add_extension(x509.BasicConstraints(True, None), critical=self.critical)
        if self.usage:
            root = root.add_extension(_usage(self.signs), critical=True)
        if self.identified:
            root = root.add_extension(
                x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False
            )
        leaf = self._begin("control", server).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(self.address))]), critical=False
        )
        if self.names_authority:
            leaf = leaf.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
            )
        for name, builder in (("ca", root), ("control", leaf)):
            (folder / f"{name}.pem").write_bytes(builder.sign(authority, hashes.SHA256()).public_bytes(PEM))
        plain = serialization.NoEncryption()
        private = server.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain)
        (folder / "control.key").write_bytes(private)

    def _begin(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=self.days)
        return x509.CertificateBuilder(
            issuer_name=_name("authority"),
            subject_name=_name(name),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=end - datetime.timedelta(days=30),
            not_valid_after=end,
        )


GOOD = Chain()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(signs: bool) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    never = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, **never)


async def ask(folder: Path, authority: Path) -> None:
    """Ask a server with control.pem and control.key of `folder` for the edges, as an agent that trusts `authority`."""
    showing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    showing.load_cert_chain(folder / "control.pem", folder / "control.key")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=showing)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with ControlClient(f"https://127.0.0.1:{port}", ca=authority) as client:
            await client.edges()


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (replace(GOOD, usage=False), "missing is keyUsage, critical, with keyCertSign"),
        (replace(GOOD, signs=False), "keyCertSign in the keyUsage, of the authority"),
        (replace(GOOD, identified=False), "missing is subjectKeyIdentifier, in the authority"),
        (replace(GOOD, critical=False), "missing is critical, at the basicConstraints"),
        (replace(GOOD, names_authority=False), "missing is authorityKeyIdentifier, in the certificate"),
        (replace(GOOD, days=-1), "make a new certificate"),
        (replace(GOOD, days=60), "compare the clocks"),
        (replace(GOOD, address="127.0.0.2"), "must be in the certificate's subjectAltName"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_refused_certificate_lacks_is_said(tmp_path: Path, chain: Chain, said: str) -> None:
    chain.write(tmp_path)
    with pytest.raises(UntrustedServer, match="the control plane's certificate is refused: ") as caught:
        await ask(tmp_path, tmp_path / "ca.pem")
    assert said in str(caught.value)
    assert said in caught.value.remedy


async def test_another_authority_is_said(tmp_path: Path) -> None:
    GOOD.write(tmp_path)
    other, _ = certificates.identity(tmp_path, "other", "127.0.0.1")
    with pytest.raises(UntrustedServer, match="must name the authority that signed it"):
        await ask(tmp_path, other)


async def test_a_certificate_without_fault_is_believed(tmp_path: Path) -> None:
    GOOD.write(tmp_path)
    with pytest.raises(Unreachable) as caught:  # it says nothing after the handshake
        await ask(tmp_path, tmp_path / "ca.pem")
    assert not isinstance(caught.value, UntrustedServer)


def test_the_page_that_is_named_has_that_heading() -> None:
    page, _, place = PAGE.partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert place in {heading.lower().replace(" ", "-").replace("'", "") for heading in headings}
