"""The signature of a forwarding table (Ed25519, RFC 8032): a forwarder follows what the control plane said, or nothing.

Signed is a label and the SHA-256 of the whole table, one line of JSON a VIP, an edge and a site, in order of name and
id. So a table that was put together from a delta is checked as a whole, and fields that the reader does not know yet
count. A table without sites is signed as it was before there were any.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LABEL = b"sennit forwarding table v1"


class Forged(ValueError):
    """The table is not the one that was signed."""


def signed_line(entry: Mapping[str, Any]) -> bytes:
    """One VIP, edge or site as it is signed."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


def signed_bytes(
    generation: int, vips: Iterable[bytes], edges: Iterable[bytes], sites: Iterable[bytes] = ()
) -> bytes:
    """What the signature is over; the entries are lines, in order of name and id."""
    whole = hashlib.sha256(b"generation %d\n" % generation)
    with_sites = tuple(sites)
    whole.update(
        b"\n".join((b"vips", *vips, b"edges", *edges, *((b"sites", *with_sites) if with_sites else ())))
    )
    return LABEL + whole.digest()


def sign(key: Ed25519PrivateKey, table: Mapping[str, Any]) -> bytes:
    """Sign a table's JSON; 64 bytes."""
    return key.sign(_signed_content(table))


def verify(key: bytes, table: Mapping[str, Any], signature: bytes) -> None:
    """Check a table's JSON against the signer's public key (32 bytes); raises `Forged`."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed_content(table))
    except (InvalidSignature, ValueError, TypeError, KeyError):
        raise Forged("the table is not signed by the control plane's key") from None


def _signed_content(table: Mapping[str, Any]) -> bytes:
    vips = sorted(table["vips"], key=lambda vip: str(vip["name"]))
    edges = sorted(table["edges"], key=lambda edge: int(edge["id"]))
    sites = sorted(table.get("sites", ()), key=lambda site: str(site["name"]))
    return signed_bytes(
        table["generation"], map(signed_line, vips), map(signed_line, edges), map(signed_line, sites)
    )
