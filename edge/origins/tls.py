"""TLS towards origins: what a service's document says, as a context of OpenSSL."""

import os
import ssl
from collections.abc import Iterable, Mapping

from services.origins import Origin, OriginTls
from smkex.http.stream import verifying_context


class OriginUnusable(ValueError):
    """An origin's TLS settings cannot be used; the text names the field, and never the key."""


def make_tls_context(tls: OriginTls, client_key: str | None) -> ssl.SSLContext:
    """Make the context for `tls`, with the value of its client key. Raises `OriginUnusable`."""
    if tls.verify and tls.ca is None and tls.client_certificate is None:
        return verifying_context()  # one for all: it holds every authority of the system
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca is None:
        context.load_default_certs()
    else:
        _load_authorities(context, tls.ca)
    if tls.client_certificate is not None:
        if client_key is None:
            raise OriginUnusable(f"tls.client_key: there is no secret {tls.client_key!r}")
        _load_client_certificate(context, tls.client_certificate, client_key)
    return context


def check_origins(origins: Iterable[Origin], secrets: Mapping[str, str]) -> None:
    """Check that each origin's TLS settings can be used. Raises `OriginUnusable` that names the field."""
    for number, origin in enumerate(origins):
        key = secrets.get(origin.tls.client_key) if origin.tls.client_key is not None else None
        try:
            make_tls_context(origin.tls, key)
        except OriginUnusable as error:
            raise OriginUnusable(f"origins.{number}.{error}") from None


def _load_authorities(context: ssl.SSLContext, text: str) -> None:
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise OriginUnusable(f"tls.ca: no certificates in PEM: {error}") from None
    if not context.get_ca_certs():
        raise OriginUnusable("tls.ca: none of its certificates is an authority")


def _load_client_certificate(context: ssl.SSLContext, chain: str, key: str) -> None:
    """OpenSSL takes both from a file only: one in memory, which no disk and no other process sees."""
    descriptor = os.memfd_create("origin", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "w", closefd=False) as file:
            file.write(f"{chain}\n{key}\n")
        # an empty password: OpenSSL would ask for that of an encrypted key at the terminal
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (ssl.SSLError, ValueError, OSError):
        # OpenSSL's text is left out: it may quote what it read
        raise OriginUnusable(
            "tls.client_certificate: certificate and key are not a pair in PEM, without a passphrase"
        ) from None
    finally:
        os.close(descriptor)
