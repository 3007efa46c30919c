"""This edge's credentials: its certified key of mode tofu until that expires, and its certificate of mode mtls."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from OpenSSL import SSL

from edge.config.settings import EdgeSettings
from node.state.identity import NodeIdentity
from smkex.core.errors import CertificateRefused, TlsFailed
from smkex.core.handshake.config import LongTermKey, ServerConfig
from smkex.core.handshake.tls import server_context
from smkex.core.keys.keyfile import KeyFileDamaged, read_certificate, read_edge_key
from smkex.core.wire.messages import LocatorKind, Mode


class IdentityUnusable(Exception):
    """A key or certificate is missing, damaged or does not fit; the text says which."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials for handshakes. `config` is called at every handshake, so an expired certificate is never sent."""

    edge_id: int
    long_term: LongTermKey | None
    tls: SSL.Context | None = None
    clock: Callable[[], float] = time.time
    locator: LocatorKind = LocatorKind.PORT

    def config(self) -> ServerConfig:
        config = ServerConfig(self.edge_id, locator=self.locator, tls=self.tls)
        if self.long_term is None or not self.long_term.certificate.valid_at(int(self.clock())):
            return config
        return replace(config, modes=(Mode.TOFU, Mode.OPPORTUNISTIC), long_term=self.long_term)

    @property
    def reasons(self) -> list[str]:
        """Reasons for a degraded health."""
        if self.long_term is None or self.long_term.certificate.valid_at(int(self.clock())):
            return []
        return ["the tofu certificate has expired"]


def load_identity(settings: EdgeSettings, node: NodeIdentity) -> Identity:
    """Read the configured keys and certificates. Raises `IdentityUnusable`."""
    return Identity(
        node.edge_id,
        _load_long_term_key(settings, node),
        _load_tls_context(settings),
        locator=LocatorKind[node.vip.locator.name],
    )


def _load_tls_context(settings: EdgeSettings) -> SSL.Context | None:
    if settings.tls_certificate is None and settings.tls_key is None:
        return None
    if settings.tls_certificate is None or settings.tls_key is None:
        raise IdentityUnusable("--tls-certificate and --tls-key belong together")
    try:
        return server_context(settings.tls_certificate, settings.tls_key)
    except TlsFailed as error:
        raise IdentityUnusable(str(error)) from None


def _load_long_term_key(settings: EdgeSettings, node: NodeIdentity) -> LongTermKey | None:
    if settings.tofu_key is None and settings.tofu_certificate is None:
        return None
    if settings.tofu_key is None or settings.tofu_certificate is None:
        raise IdentityUnusable("--tofu-key and --tofu-certificate belong together")
    try:
        key = read_edge_key(settings.tofu_key.read_bytes())
        certificate = read_certificate(settings.tofu_certificate.read_text())
        certificate.verify(node.edge_id, int(time.time()))
    except (OSError, KeyFileDamaged) as error:
        raise IdentityUnusable(str(error)) from None
    except CertificateRefused as error:
        raise IdentityUnusable(f"{settings.tofu_certificate}: {error}") from None
    if key.public_key().public_bytes_raw() != certificate.share:
        raise IdentityUnusable(f"{settings.tofu_certificate} is not for the key in {settings.tofu_key}")
    return LongTermKey(key.private_bytes_raw(), certificate)
