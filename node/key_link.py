"""Links between signing keys: a key signs the public key that follows it (Ed25519, RFC 8032).

Who trusts a key of the control plane trusts what follows it, so that the key can be replaced without a visit to each
node. A key that was stolen must have no link: nodes are given its replacement by an operator.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from node.fields import read_sequence, require_mapping

LABEL = b"sennit next table key v1"
KEY_BYTES = 32
LINKS_KEPT = 16


@dataclass(frozen=True, slots=True)
class KeyLink:
    """A public key, the public key that follows it (32 bytes each), and the former's signature (64 bytes)."""

    before: bytes
    after: bytes
    signature: bytes

    @classmethod
    def sign(cls, key: Ed25519PrivateKey, after: bytes) -> "KeyLink":
        """Have a key name its successor."""
        before = key.public_key().public_bytes_raw()
        return cls(before, after, key.sign(LABEL + before + after))

    @property
    def is_signed(self) -> bool:
        """Return whether the key before it signed this."""
        try:
            key = Ed25519PublicKey.from_public_bytes(self.before)
            key.verify(self.signature, LABEL + self.before + self.after)
        except (InvalidSignature, ValueError):
            return False
        return True

    @classmethod
    def from_json(cls, value: Any) -> "KeyLink":
        """Check the form; raises `ValueError` that names the field."""
        fields = require_mapping(value, "links")
        before, after, signature = (_read_base64(fields, name) for name in ("before", "after", "signature"))
        if len(before) != KEY_BYTES or len(after) != KEY_BYTES:
            raise ValueError(f"links: a key has {KEY_BYTES} bytes")
        return cls(before, after, signature)

    def to_json(self) -> dict[str, str]:
        """Return a plain dict, ready for `json.dumps`."""
        parts = {"before": self.before, "after": self.after, "signature": self.signature}
        return {name: base64.b64encode(part).decode() for name, part in parts.items()}


def read_links(fields: Mapping[str, Any]) -> tuple[KeyLink, ...]:
    """Return the newest of a field `links`, none where it is missing; raises `ValueError` that names the field."""
    found = read_sequence({"links": [], **fields}, "links")
    return tuple(KeyLink.from_json(one) for one in found[-LINKS_KEPT:])


def find_followers(anchor: bytes, links: Iterable[KeyLink]) -> tuple[bytes, ...]:
    """Return a key and those that follow it by signed links, in order; at most `LINKS_KEPT` of them."""
    found, known = [anchor], tuple(links)[-LINKS_KEPT:]
    while len(found) <= LINKS_KEPT:
        following = (link for link in known if link.before == found[-1] and link.after not in found)
        link = next((each for each in following if each.is_signed), None)
        if link is None:
            break
        found.append(link.after)
    return tuple(found)


def _read_base64(fields: Mapping[str, Any], name: str) -> bytes:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name}: not a text")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
