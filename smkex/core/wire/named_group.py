"""Groups of the key exchange, by TLS's numbers, and the lengths of their shares.

X25519MLKEM768 is as in TLS (draft-ietf-tls-ecdhe-mlkem): ML-KEM-768 first, X25519 last, in shares and secrets.
"""

from enum import IntEnum, unique

from smkex.core.errors import MalformedMessage

X25519_LENGTH = 32  # of a share and of a secret
MLKEM_KEY_LENGTH = 1184
MLKEM_CIPHERTEXT_LENGTH = 1088


@unique
class NamedGroup(IntEnum):
    """Groups as sent (TLS Supported Groups registry)."""

    X25519 = 0x001D
    X25519MLKEM768 = 0x11EC


_HYBRID = NamedGroup.X25519MLKEM768
CLIENT_SHARE_LENGTH = {NamedGroup.X25519: X25519_LENGTH, _HYBRID: MLKEM_KEY_LENGTH + X25519_LENGTH}
SERVER_SHARE_LENGTH = {NamedGroup.X25519: X25519_LENGTH, _HYBRID: MLKEM_CIPHERTEXT_LENGTH + X25519_LENGTH}
DEFAULT_GROUPS = (NamedGroup.X25519MLKEM768, NamedGroup.X25519)


def parse_groups(text: str) -> tuple[NamedGroup, ...]:
    """Parse names separated by commas, in the order of preference. Raises ValueError."""
    names = [name.strip().upper() for name in text.split(",")]
    unknown = [name.lower() for name in names if name not in NamedGroup.__members__]
    if unknown or len(set(names)) != len(names):
        known = ", ".join(group.name.lower() for group in DEFAULT_GROUPS)
        raise ValueError(f"{unknown[0] if unknown else text!r}: name each group once, of {known}")
    return tuple(NamedGroup[name] for name in names)


def check_share_length(group: int, share: bytes, lengths: dict[NamedGroup, int]) -> None:
    """Raise `MalformedMessage` for a share of a known group with another length."""
    wanted = lengths.get(group)  # type: ignore[call-overload]
    if wanted is not None and len(share) != wanted:
        raise MalformedMessage(f"a share of {NamedGroup(group).name} has {len(share)} bytes, not {wanted}")
