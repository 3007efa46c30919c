"""The server name of a ClientShare under seal: HPKE (RFC 9180), base mode, to the fleet's name key.

What is sealed is bound to the whole ClientShare, the seal's own bytes as zeros: cut out and put into another, it does
not open. The name is padded, so that lengths tell little of it.
"""

from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from smkex.core.errors import MalformedMessage, NameNotOpened
from smkex.core.keys.name_key import NameKey, NamePrivateKey
from smkex.core.wire.codec import Reader, length_prefixed, vec8
from smkex.core.wire.messages import SEALED_NAME, VERSION, ClientShare

BLOCK = 32  # bytes to whose multiples names are padded, their length included
SEAL_LENGTH = 32 + 16  # the encapsulated key, the tag
_LABEL = f"sennit smkex {VERSION} server name".encode()
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)

# public key, plaintext, info to the encapsulated key and the ciphertext
HpkeSeal = Callable[[bytes, bytes, bytes], bytes]


def hpke_seal(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal by HPKE; OpenSSL draws the ephemeral key, since `cryptography` takes none from its caller."""
    return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public), info)


def pad_name(name: str) -> bytes:
    clear = vec8(name.encode("ascii"))
    return clear + bytes(-len(clear) % BLOCK)


def _unpad_name(clear: bytes) -> str:
    reader = Reader(clear)
    try:
        name = reader.vec8().decode("ascii")
    except UnicodeDecodeError:
        raise MalformedMessage("the server name is not ASCII") from None
    if not name or clear != pad_name(name):
        raise MalformedMessage("the sealed server name is empty, or not padded as it must be")
    return name


def _bind_to(outer: bytes) -> bytes:
    """HPKE's info: a seal opens with the frame that it was made for, and no other."""
    return length_prefixed(_LABEL, outer)


def seal_server_name(
    key: NameKey, name: str, build: Callable[[bytes], ClientShare], seal: HpkeSeal = hpke_seal
) -> ClientShare:
    """Return the ClientShare that `build` makes of the option's value, with `name` sealed in it."""
    clear = pad_name(name)
    outer = build(bytes(SEAL_LENGTH + len(clear)))
    return ClientShare.parse(outer.frame_with(SEALED_NAME, seal(key.public, clear, _bind_to(outer.frame))))


def open_server_name(share: ClientShare, keys: Sequence[NamePrivateKey]) -> tuple[str, NamePrivateKey]:
    """Return the name in `share`, which has one under seal, and the key that opened it.

    Raises `NameNotOpened`, with the first of `keys`, or `MalformedMessage`.
    """
    sealed = share.sealed_name or b""
    info = _bind_to(share.frame_with(SEALED_NAME, bytes(len(sealed))))
    for key in keys:
        try:
            clear = _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(key.private_key), info)
        except (InvalidTag, ValueError):
            continue
        return _unpad_name(clear), key
    raise NameNotOpened(keys[0].signed.encode() if keys else b"")
