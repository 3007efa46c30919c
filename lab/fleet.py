"""The fleet's key of mode tofu and the edges' certified ones, as an operator would make them, for the lab."""

import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab.secrets import LIFETIME, write_secret
from smkex.core.keys.certificate import EdgeCertificate, fleet_key_fingerprint
from smkex.core.keys.keyfile import (
    certificate_pem,
    name_keys_text,
    private_pem,
    read_fleet_key,
    read_name_keys,
)
from smkex.core.keys.name_key import NameKey, NamePrivateKey

KEY, CERTIFICATE = "tofu.key", "tofu.certificate"
FLEET_KEY = "fleet.key"
NAME_KEYS = "name.keys"
CLOCKS_DIFFER = 3600  # seconds


def make_fleet_key(folder: Path) -> Ed25519PrivateKey:
    """Make the fleet's key below `folder`, or read the one that is there."""
    path = folder / FLEET_KEY
    if not path.exists():
        write_secret(path, private_pem(Ed25519PrivateKey.generate()))
    return read_fleet_key(path.read_bytes())


def fleet_fingerprint(folder: Path) -> str:
    return fleet_key_fingerprint(make_fleet_key(folder).public_key().public_bytes_raw())


def certify_edge(fleet: Ed25519PrivateKey, folder: Path, edge_id: int) -> None:
    """Make an edge's key and certificate in its folder."""
    key = X25519PrivateKey.generate()
    share = key.public_key().public_bytes_raw()
    now = int(time.time())
    until = now + int(LIFETIME.total_seconds())
    write_secret(folder / KEY, private_pem(key))
    (folder / CERTIFICATE).write_text(
        certificate_pem(EdgeCertificate.issue(fleet, edge_id, share, now - CLOCKS_DIFFER, until))
    )


def make_name_keys(fleet: Ed25519PrivateKey, folder: Path) -> str:
    """Make the fleet's name key below `folder`, or read the one that is there; the text is the same for each edge."""
    path = folder / NAME_KEYS
    if not path.exists():
        private = X25519PrivateKey.generate()
        signed = NameKey.issue(fleet, private.public_key().public_bytes_raw(), int(time.time()))
        write_secret(path, name_keys_text([NamePrivateKey(private.private_bytes_raw(), signed)]).encode())
    return path.read_text()


def published_name_key(folder: Path) -> NameKey:
    """The name key that the lab's edges give to clients."""
    return read_name_keys(make_name_keys(make_fleet_key(folder), folder))[0].signed
