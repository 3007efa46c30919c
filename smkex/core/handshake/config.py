"""Configuration of both ends of a handshake, and its random inputs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smkex.core.keys.certificate import EdgeCertificate
from smkex.core.wire.messages import NONCE_LENGTH, SESSION_ID_LENGTH, SHARE_LENGTH, Aead, LocatorKind, Mode

if TYPE_CHECKING:
    from OpenSSL import SSL

MAXIMUM_CANDIDATES = (
    4  # pairs of nonces a session; a racer may use up three and the client still gets through
)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What the client offers and accepts. `modes` and `aeads` in its order of preference.

    `fleet_keys` are fingerprints of the keys remembered for this host (empty: first contact); certificates must be
    valid at `now` (unix time).
    """

    server_name: str = ""
    modes: tuple[Mode, ...] = (Mode.OPPORTUNISTIC,)
    aeads: tuple[Aead, ...] = (Aead.AES_128_GCM, Aead.CHACHA20_POLY1305)
    locator: LocatorKind | None = LocatorKind.PORT  # None: the edge chooses
    strict_paths: bool = False  # refuse the same ingress edge or address prefix on both paths
    allow_shared_path: bool = False
    fleet_keys: frozenset[str] = frozenset()
    now: int = 0


@dataclass(frozen=True, slots=True)
class LongTermKey:
    """An edge's key of mode tofu: the private half (32 bytes) and the fleet's certificate of the public one."""

    private_key: bytes = field(repr=False)
    certificate: EdgeCertificate


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The edge's id, keys and what it accepts."""

    edge_id: int
    modes: tuple[Mode, ...] = (Mode.OPPORTUNISTIC,)
    aeads: tuple[Aead, ...] = (Aead.AES_128_GCM, Aead.CHACHA20_POLY1305)
    locator: LocatorKind = LocatorKind.PORT
    long_term: LongTermKey | None = None  # mode tofu needs it
    tls: "SSL.Context | None" = None  # mode mtls needs it
    maximum_candidates: int = MAXIMUM_CANDIDATES
    draining: bool = False  # refuse every new session


@dataclass(frozen=True, slots=True)
class ClientEntropy:
    """All randomness of a client's handshake; the same entropy gives the same messages."""

    session_id: bytes = field(repr=False)
    private_key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if (len(self.session_id), len(self.private_key), len(self.nonce)) != (
            SESSION_ID_LENGTH,
            SHARE_LENGTH,
            NONCE_LENGTH,
        ):
            raise ValueError("session id is 16 bytes, private key and nonce 32 bytes each")

    def key(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.private_key)
