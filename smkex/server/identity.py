"""A server's credentials: its certified key of mode tofu until that expires, and its certificate of mode mtls."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from smkex.core.errors import CertificateRefused, NoCommonGroup, TlsFailed
from smkex.core.handshake.config import LongTermKey, ServerConfig
from smkex.core.keys.key_agreement import require_groups
from smkex.core.keys.keyfile import KeyFileDamaged, read_certificate, read_edge_key, read_name_keys
from smkex.core.keys.name_key import NamePrivateKey
from smkex.core.wire.messages import LocatorKind, Mode
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup

if TYPE_CHECKING:
    from OpenSSL import SSL


class IdentityUnusable(Exception):
    """A key or certificate is missing, damaged or does not fit; the text says which."""


@dataclass(slots=True)
class Identity:
    """Credentials for handshakes. `config` is called at every handshake, so an expired certificate is never sent.

    `modes` are those accepted beside mtls, tofu only while its certificate is valid.
    """

    edge_id: int
    long_term: LongTermKey | None
    tls: "SSL.Context | None" = None
    clock: Callable[[], float] = time.time
    locator: LocatorKind = LocatorKind.PORT
    locator_v6: LocatorKind | None = None  # where it differs
    modes: tuple[Mode, ...] = (Mode.TOFU, Mode.OPPORTUNISTIC)
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    name_keys: tuple[NamePrivateKey, ...] = ()
    _certified: ServerConfig = field(init=False, repr=False)
    _uncertified: ServerConfig = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._uncertified = ServerConfig(
            self.edge_id,
            modes=tuple(mode for mode in self.modes if mode is not Mode.TOFU),
            groups=self.groups,
            locator=self.locator,
            locator_v6=self.locator_v6,
            tls=self.tls,
        )
        self._certified = replace(
            self._uncertified, modes=self.modes, long_term=self.long_term, name_keys=self.name_keys
        )

    def config(self) -> ServerConfig:
        """Return what handshakes are answered with now."""
        if self.long_term is not None and self.long_term.certificate.valid_at(int(self.clock())):
            return self._certified
        return self._uncertified

    @property
    def reasons(self) -> list[str]:
        """Reasons for a degraded health."""
        if self.long_term is None or self.long_term.certificate.valid_at(int(self.clock())):
            return []
        return ["the tofu certificate has expired"]


def require_known_groups(groups: Sequence[NamedGroup]) -> None:
    """Raise `IdentityUnusable` unless this machine can compute all of `groups`."""
    try:
        require_groups(groups)
    except NoCommonGroup as error:
        raise IdentityUnusable(str(error)) from None


def load_tls_context(
    certificate: Path | None, key: Path | None, groups: Sequence[NamedGroup] = DEFAULT_GROUPS
) -> "SSL.Context | None":
    """Read the certificate chain and key of mode mtls; None without them. Raises `IdentityUnusable`."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise IdentityUnusable("--tls-certificate and --tls-key belong together")
    # OpenSSL is slow to load, and only this mode needs it
    from smkex.core.handshake.tls import server_context

    try:
        return server_context(certificate, key, groups)
    except TlsFailed as error:
        raise IdentityUnusable(str(error)) from None


def load_long_term_key(certificate: Path | None, key: Path | None, edge_id: int) -> LongTermKey | None:
    """Read the certified key of mode tofu; None without it. Raises `IdentityUnusable`."""
    if key is None and certificate is None:
        return None
    if key is None or certificate is None:
        raise IdentityUnusable("--tofu-key and --tofu-certificate belong together")
    try:
        private = read_edge_key(key.read_bytes())
        certified = read_certificate(certificate.read_text())
        certified.verify(edge_id, int(time.time()))
    except (OSError, KeyFileDamaged) as error:
        raise IdentityUnusable(str(error)) from None
    except CertificateRefused as error:
        raise IdentityUnusable(f"{certificate}: {error}") from None
    if private.public_key().public_bytes_raw() != certified.share:
        raise IdentityUnusable(f"{certificate} is not for the key in {key}")
    return LongTermKey(private.private_bytes_raw(), certified)


def load_name_keys(file: Path | None, long_term: LongTermKey | None) -> tuple[NamePrivateKey, ...]:
    """Read the fleet's name keys; none without the file. Raises `IdentityUnusable`."""
    if file is None:
        return ()
    if long_term is None:
        raise IdentityUnusable("--name-keys needs --tofu-key and --tofu-certificate")
    try:
        keys = read_name_keys(file.read_text())
    except (OSError, UnicodeDecodeError, KeyFileDamaged) as error:
        raise IdentityUnusable(f"{file}: {error}") from None
    if any(key.signed.fleet_key != long_term.certificate.fleet_key for key in keys):
        raise IdentityUnusable(f"{file}: a name key is signed by another fleet key than the certificate")
    return keys
