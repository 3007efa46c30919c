"""Configuration of both ends of a handshake, and its random inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from smkex.core.keys.certificate import EdgeCertificate
from smkex.core.keys.key_agreement import KEM_SEED_LENGTH
from smkex.core.keys.name_key import NameKey, NamePrivateKey
from smkex.core.wire.messages import (
    NONCE_LENGTH,
    SESSION_ID_LENGTH,
    SHARE_LENGTH,
    Aead,
    Endpoint,
    LocatorKind,
    Mode,
)
from smkex.core.wire.named_group import DEFAULT_GROUPS, NamedGroup

if TYPE_CHECKING:
    from OpenSSL import SSL

# pairs of nonces a session: only who has read N_C on path 1 makes any, and three leave the client's
MAXIMUM_CANDIDATES = 4
SessionKeyLog = Callable[[bytes, str, bytes, bytes], None]  # session id; name, key and IV
ENTROPY_LENGTH = SESSION_ID_LENGTH + SHARE_LENGTH + NONCE_LENGTH + KEM_SEED_LENGTH  # of a client's handshake


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What the client offers and accepts. `modes`, `aeads` and `groups` in its order of preference.

    `fleet_keys` are fingerprints of the keys remembered for this host (empty: first contact), each with the newest
    revocation floor that it has signed; at a first contact the key must be one of `stated_fleet_keys`, if there are
    any. Certificates must be valid at `now` (unix time). With a `name_key` the server name travels sealed, and never
    otherwise. `key_log` is called with the session id and each key of the session.
    """

    server_name: str = ""
    modes: tuple[Mode, ...] = (Mode.OPPORTUNISTIC,)
    aeads: tuple[Aead, ...] = (Aead.AES_128_GCM, Aead.CHACHA20_POLY1305)
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    locator: LocatorKind | None = LocatorKind.PORT  # None: the edge chooses
    strict_paths: bool = False  # refuse the same ingress edge or address prefix on both paths
    allow_shared_path: bool = False
    fleet_keys: Mapping[str, int] = field(default_factory=dict)
    stated_fleet_keys: frozenset[str] = frozenset()  # by the name's service records
    now: int = 0
    name_key: NameKey | None = None
    key_log: SessionKeyLog | None = None


@dataclass(frozen=True, slots=True)
class LongTermKey:
    """An edge's key of mode tofu: the private half (32 bytes) and the fleet's certificate of the public one."""

    private_key: bytes = field(repr=False)
    certificate: EdgeCertificate


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The edge's id, keys and what it accepts; `modes` and `groups` in its order of preference, which decides.

    `name_keys` open sealed server names; the first is given to clients. `locator_v6` is the kind of locators of the
    IPv6 address where it differs.
    """

    edge_id: int
    modes: tuple[Mode, ...] = (Mode.OPPORTUNISTIC,)
    aeads: tuple[Aead, ...] = (Aead.AES_128_GCM, Aead.CHACHA20_POLY1305)
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    locator: LocatorKind = LocatorKind.PORT
    locator_v6: LocatorKind | None = None
    long_term: LongTermKey | None = None  # mode tofu needs it
    name_keys: tuple[NamePrivateKey, ...] = ()
    tls: "SSL.Context | None" = None  # mode mtls needs it
    maximum_candidates: int = MAXIMUM_CANDIDATES
    draining: bool = False  # refuse every new session

    def locator_towards(self, client: Endpoint) -> LocatorKind:
        """Return the kind of the locators of the address that this client has dialled, by its version of IP."""
        if self.locator_v6 is None or isinstance(client.address, IPv4Address):
            return self.locator
        return self.locator_v6


@dataclass(frozen=True, slots=True)
class ClientEntropy:
    """All randomness of a client's handshake; the same entropy gives the same messages."""

    session_id: bytes = field(repr=False)
    private_key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    kem_seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        given = (self.session_id, self.private_key, self.nonce, self.kem_seed)
        if tuple(map(len, given)) != (SESSION_ID_LENGTH, SHARE_LENGTH, NONCE_LENGTH, KEM_SEED_LENGTH):
            raise ValueError("session id is 16 bytes, private key and nonce 32 each, the ML-KEM seed 64")

    @classmethod
    def from_bytes(cls, data: bytes) -> "ClientEntropy":
        """Split `ENTROPY_LENGTH` random bytes."""
        return cls(data[:16], data[16:48], data[48:80], data[80:])
