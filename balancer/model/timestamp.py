"""A signed timestamp: what the newest forwarding table, services and purge are, and when the control plane said so.

Signatures of tables and services name no time, so an attacker in between could withhold a newer one unnoticed. With
every answer to a request for the table comes this small value, signed (Ed25519) with the same key; its role is that of
the timestamp of The Update Framework. A node without a recent one knows that its table may be old.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from balancer.model.signature import Forged
from node.fields import read_integer, require_mapping

LABEL = b"sennit timestamp v1"
HEADER = "Sennit-Timestamp"
LIFETIME = 300  # seconds: twelve long polls, and as much as clocks may differ
SIZE_LIMIT = 1024
LARGEST_NUMBER = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The newest numbers at a moment. `at`: seconds since 1970; `next_key`: a rotation is under way (hexadecimal)."""

    at: int
    lifetime: int
    table: int
    services: int
    purge: int
    next_key: str = ""

    def sign(self, key: Ed25519PrivateKey) -> str:
        """Return the value of the header: content and signature, both in base64, with a dot between them."""
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()
        parts = content, key.sign(LABEL + content)
        return ".".join(base64.b64encode(part).decode() for part in parts)

    @classmethod
    def open(cls, text: str, keys: Sequence[bytes]) -> "Timestamp":
        """Return the content, verified with one of the keys; raises `Forged`."""
        try:
            if len(text) > SIZE_LIMIT:
                raise ValueError("too long")
            content, signature = (base64.b64decode(part, validate=True) for part in text.split("."))
            if not any(_is_signed(key, content, signature) for key in keys):
                raise ValueError("not signed by the control plane's key")
            return cls._from_json(json.loads(content))
        except (ValueError, RecursionError) as error:
            raise Forged(f"the timestamp is invalid: {error}") from None

    @classmethod
    def _from_json(cls, value: Any) -> "Timestamp":
        fields = require_mapping(value, "timestamp")
        return cls(
            at=read_integer(fields, "at", 0, 2**40),
            lifetime=read_integer(fields, "lifetime", 1, 2**20),
            table=read_integer(fields, "table", 0, LARGEST_NUMBER),
            services=read_integer(fields, "services", 0, LARGEST_NUMBER),
            purge=read_integer(fields, "purge", 0, LARGEST_NUMBER),
            next_key=str(fields.get("next_key", "")),
        )


def _is_signed(key: bytes, content: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, LABEL + content)
    except (InvalidSignature, ValueError):
        return False
    return True


class Freshness:
    """The newest timestamp, and how old it is. Both clocks are passed in, in seconds.

    The wall clock is asked once for each timestamp; from then on monotonic time counts.
    """

    def __init__(self) -> None:
        self.newest: Timestamp | None = None
        self._made_at = -math.inf  # monotonic

    def accept(self, timestamp: Timestamp, wall: float, monotonic: float) -> bool:
        """Keep a newer timestamp; return False for one that was seen, an older one, and one of the future."""
        if self.newest is not None and timestamp.at <= self.newest.at:
            return False
        if timestamp.at > wall + timestamp.lifetime:
            return False
        self.newest, self._made_at = timestamp, monotonic - max(0.0, wall - timestamp.at)
        return True

    def age(self, monotonic: float) -> float:
        """Return the seconds since the newest was made; infinity before the first."""
        return max(0.0, monotonic - self._made_at)

    def is_fresh(self, monotonic: float) -> bool:
        """Return whether the newest may still be believed."""
        return self.newest is not None and self.age(monotonic) < self.newest.lifetime
