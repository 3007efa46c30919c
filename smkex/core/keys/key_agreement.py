"""Key agreement in a named group: shares of both ends, and the secret that they give (docs/protocol, "Groups")."""

from collections.abc import Callable, Sequence
from functools import cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from smkex.core.errors import BadShare, NoCommonGroup
from smkex.core.wire.messages import KeyShares
from smkex.core.wire.named_group import (
    MLKEM_CIPHERTEXT_LENGTH,
    MLKEM_KEY_LENGTH,
    X25519_LENGTH,
    NamedGroup,
)

KEM_SEED_LENGTH = 64  # d and z of FIPS 203 section 7.1

# encapsulation key to (secret, ciphertext)
Encapsulate = Callable[[bytes], tuple[bytes, bytes]]


def exchange_x25519(private: X25519PrivateKey, share: bytes) -> bytes:
    """X25519; an all-zero result raises `BadShare` (RFC 7748 section 6.1)."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        raise BadShare from None


def encapsulate_mlkem(key: bytes) -> tuple[bytes, bytes]:
    """Encapsulate to an ML-KEM-768 key; raises `BadShare`.

    OpenSSL draws the randomness: `cryptography` takes none from its caller.
    """
    try:
        return MLKEM768PublicKey.from_public_bytes(key).encapsulate()
    except ValueError:
        raise BadShare("not an ML-KEM-768 encapsulation key") from None


def x25519_share(share: bytes) -> bytes:
    """The X25519 part of a share of any group: its last 32 bytes."""
    return share[-X25519_LENGTH:]


class ClientKeys:
    """The client's private keys of one handshake, from 32 bytes and the 64 of an ML-KEM seed.

    One X25519 key serves all groups on offer, as RFC 9954 section 3.2 permits: the edge takes one of them.
    """

    def __init__(self, private_key: bytes, kem_seed: bytes, groups: Sequence[NamedGroup]) -> None:
        self._x25519 = X25519PrivateKey.from_private_bytes(private_key)
        hybrid = NamedGroup.X25519MLKEM768 in groups
        self._mlkem = MLKEM768PrivateKey.from_seed_bytes(kem_seed) if hybrid else None
        self.shares: KeyShares = tuple((group, self._share_of(group)) for group in groups)

    def _share_of(self, group: NamedGroup) -> bytes:
        share = self._x25519.public_key().public_bytes_raw()
        if group is NamedGroup.X25519 or self._mlkem is None:
            return share
        return self._mlkem.public_key().public_bytes_raw() + share

    def agree(self, group: NamedGroup, share: bytes) -> bytes:
        """Return the secret that an edge's share gives (32 bytes, 64 of the hybrid); raises `BadShare`."""
        secret = exchange_x25519(self._x25519, x25519_share(share))
        if group is NamedGroup.X25519 or self._mlkem is None:
            return secret
        return self._mlkem.decapsulate(share[:MLKEM_CIPHERTEXT_LENGTH]) + secret

    def exchange_certified(self, share: bytes) -> bytes:
        """X25519 with an edge's certified share; raises `BadShare`."""
        return exchange_x25519(self._x25519, share)

    def __repr__(self) -> str:
        return "ClientKeys(redacted)"


def answer_share(
    group: NamedGroup,
    share: bytes,
    private: X25519PrivateKey,
    encapsulate: Encapsulate = encapsulate_mlkem,
) -> tuple[bytes, bytes]:
    """Return the edge's share and the secret for a client's share; raises `BadShare`."""
    answer = private.public_key().public_bytes_raw()
    secret = exchange_x25519(private, x25519_share(share))
    if group is NamedGroup.X25519:
        return answer, secret
    kem_secret, ciphertext = encapsulate(share[:MLKEM_KEY_LENGTH])
    return ciphertext + answer, kem_secret + secret


@cache
def has_mlkem() -> bool:
    """Whether the installed `cryptography` has ML-KEM: its wheels do, from version 48 on."""
    try:
        MLKEM768PrivateKey.from_seed_bytes(bytes(KEM_SEED_LENGTH))
    except UnsupportedAlgorithm:
        return False
    return True


def require_groups(groups: Sequence[NamedGroup]) -> None:
    """Raise `NoCommonGroup` unless this machine can compute all of `groups`, and there is one."""
    if not groups:
        raise NoCommonGroup("no group is allowed: name one")
    if NamedGroup.X25519MLKEM768 in groups and not has_mlkem():
        raise NoCommonGroup(
            "this OpenSSL has no ML-KEM, which X25519MLKEM768 needs: install a wheel of cryptography 48 or later,"
            " or OpenSSL 3.5; or allow x25519 alone"
        )
