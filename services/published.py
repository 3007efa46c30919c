"""The services that an edge serves, as the control plane hands them out: one numbered generation, signed whole.

A service is one line of canonical JSON. Signed (Ed25519, RFC 8032, with the key of the forwarding table) are a label
and the SHA-256 of the generation and the SHA-256 of every line, in order of name: what was put together from a
difference is checked whole, and at 10,000 services only what changed is parsed and hashed anew.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from node.fields import read_integer, read_sequence, read_text, require_mapping

LABEL = b"sennit services v1"
LARGEST_NUMBER = 2**53 - 1  # RFC 8259, section 6
EPOCH_SHIFT = 27  # a generation's bits below its epoch count what was published in it


class ForgedServices(ValueError):
    """The services are not those that were signed."""


@dataclass(frozen=True, slots=True)
class PublishedService:
    """One service. Equal lines are equal services; the document is parsed on demand, and not validated here."""

    name: str
    revision: int
    line: bytes = field(repr=False)  # has the secrets
    digest: bytes = field(init=False, repr=False, compare=False)  # what is signed of it; 32 bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.line).digest())

    @classmethod
    def from_json(cls, value: Any) -> "PublishedService":
        """Check the form of an entry; raises `ValueError` that names the field."""
        fields = require_mapping(value, "services")
        for name in ("document", "secrets"):
            require_mapping(fields.get(name), name)
        if not all(isinstance(secret, str) for secret in fields["secrets"].values()):
            raise ValueError("secrets: not a text")
        line = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        return cls(read_text(fields, "name"), read_integer(fields, "revision", 1, LARGEST_NUMBER), line)

    @classmethod
    def of(
        cls, name: str, revision: int, document: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> "PublishedService":
        """Make the entry of a service."""
        return cls.from_json({"name": name, "revision": revision, "document": document, "secrets": secrets})

    @property
    def document(self) -> dict[str, Any]:
        """Return the document's JSON, for `services.document.parse_document`."""
        return dict(json.loads(self.line)["document"])

    @property
    def secrets(self) -> dict[str, str]:
        """Return the secrets that the document names."""
        return dict(json.loads(self.line)["secrets"])


def signed_bytes(generation: int, digests: Iterable[bytes]) -> bytes:
    """Return what the signature is over; the services' digests are in order of name."""
    return LABEL + hashlib.sha256(b"generation %d\n" % generation + b"".join(digests)).digest()


@dataclass(frozen=True, slots=True)
class ServiceGeneration:
    """All services of one generation, in order of name, and the signature (64 bytes), not verified yet."""

    generation: int
    services: tuple[PublishedService, ...]
    signature: bytes

    @property
    def is_initial(self) -> bool:
        """Return whether no service was ever published; the signature of such a generation may be renewed."""
        return not self.services and self.generation % (1 << EPOCH_SHIFT) == 0

    @classmethod
    def sign(
        cls, key: Ed25519PrivateKey, generation: int, services: Iterable[PublishedService]
    ) -> "ServiceGeneration":
        """Sign services as a generation."""
        in_order = tuple(sorted(services, key=lambda service: service.name))
        signed = signed_bytes(generation, (service.digest for service in in_order))
        return cls(generation, in_order, key.sign(signed))

    def verify(self, key: bytes) -> None:
        """Check the signature with the control plane's public key (32 bytes); raises `ForgedServices`."""
        signed = signed_bytes(self.generation, (service.digest for service in self.services))
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(self.signature, signed)
        except (InvalidSignature, ValueError):
            raise ForgedServices("the services are not signed by the control plane's key") from None

    @classmethod
    def assemble(
        cls, generation: int, services: Iterable[PublishedService], signature: Any
    ) -> "ServiceGeneration":
        """Put the parts together; raises `ValueError` where a name stands twice, or out of order."""
        found = tuple(services)
        if any(before.name >= after.name for before, after in pairwise(found)):
            raise ValueError("services: not in order of name")
        if not isinstance(signature, str):
            raise ValueError("signature: not a text")
        return cls(generation, found, base64.b64decode(signature, validate=True))

    def apply_changes(
        self, generation: int, changed: Iterable[PublishedService], removed: frozenset[str], signature: Any
    ) -> "ServiceGeneration":
        """Return the generation that changes of this one make; raises `ValueError`."""
        found = {one.name: one for one in self.services if one.name not in removed}
        found |= {one.name: one for one in changed}
        return self.assemble(generation, (found[name] for name in sorted(found)), signature)

    @classmethod
    def from_answer(cls, value: Any, kept: "ServiceGeneration | None" = None) -> "ServiceGeneration":
        """Parse the control plane's answer: all services, or with `since` what changed from the kept generation.

        Raises `ValueError` that names the field, or says that the difference does not apply.
        """
        fields = require_mapping(value, "services")
        generation = read_integer(fields, "generation", 0, LARGEST_NUMBER)
        found = {one.name: one for one in map(PublishedService.from_json, read_sequence(fields, "services"))}
        if fields.get("since") is not None:
            if kept is None or kept.generation != fields["since"]:
                raise ValueError(f"since: {fields['since']}, but that generation is not here")
            removed = frozenset(map(str, read_sequence(fields, "removed")))
            return kept.apply_changes(generation, found.values(), removed, fields.get("signature"))
        in_order = (found[name] for name in sorted(found))
        return cls.assemble(generation, in_order, fields.get("signature"))
