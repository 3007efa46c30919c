"""What this edge can prove of itself: its certified key of mode tofu, while the certificate holds."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.node import Node
from edge.settings import EdgeSettings
from smkex.core.config import LongTermKey, ServerConfig
from smkex.core.errors import CertificateRefused
from smkex.core.keyfile import KeyFileDamaged, read_certificate, read_edge_key
from smkex.core.messages import Mode


class IdentityUnusable(Exception):
    """Key and certificate are not what the settings say; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`config` is asked at every handshake, so that an expired certificate is shown to nobody."""

    edge_id: int
    long_term: LongTermKey | None
    clock: Callable[[], float] = time.time

    def config(self) -> ServerConfig:
        if self.long_term is None or not self.long_term.certificate.valid_at(int(self.clock())):
            return ServerConfig(self.edge_id)
        return ServerConfig(self.edge_id, (Mode.TOFU, Mode.OPPORTUNISTIC), long_term=self.long_term)

    @property
    def reasons(self) -> list[str]:
        """What the edge's health must tell."""
        if self.long_term is None or self.long_term.certificate.valid_at(int(self.clock())):
            return []
        return ["the tofu certificate has expired"]


def load_identity(settings: EdgeSettings, node: Node) -> Identity:
    """Read key and certificate, where there are any. Raises `IdentityUnusable`."""
    if settings.tofu_key is None and settings.tofu_certificate is None:
        return Identity(node.edge_id, None)
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
    return Identity(node.edge_id, LongTermKey(key.private_bytes_raw(), certificate))
