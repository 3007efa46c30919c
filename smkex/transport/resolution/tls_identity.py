"""Who a resolver over TLS is: its certificate for a name or address, by an authority, or its public key.

Authorities are the system's, or those of SSL_CERT_FILE and SSL_CERT_DIR (OpenSSL's own variables).
"""

import hashlib
import hmac
import ssl
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smkex.transport.resolution.resolver_address import ResolverAddress, ResolverKind


class ResolverNotAuthenticated(OSError):
    """The resolver has another public key than the one that identifies it."""


@lru_cache(maxsize=16)  # reading the authorities takes ten milliseconds
def make_resolver_context(where: ResolverAddress) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if where.pin:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # `check_pinned_key` is what authenticates it
    if where.kind is ResolverKind.TLS:
        context.set_alpn_protocols(["dot"])
    return context


def check_pinned_key(where: ResolverAddress, connection: ssl.SSLObject) -> None:
    """Raise `ResolverNotAuthenticated` if the key is pinned and another was shown."""
    if not where.pin:
        return  # the context has verified the certificate
    shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"").public_key()
    digest = hashlib.sha256(shown.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    if not hmac.compare_digest(digest, where.pin):
        raise ResolverNotAuthenticated(f"{where} showed another public key: an attack, or it has a new one")
