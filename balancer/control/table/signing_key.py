"""The key that signs tables: created at the first start in the state folder, readable by its owner only.

The database holds its public half, so that no instance signs with a key that agents do not know.
"""

import hmac
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from balancer.control.storage.database import SIGNING_KEY
from balancer.control.storage.records import TableKeyRecord
from balancer.control.storage.store import Store


class NoSigningKey(Exception):
    """The signing key is missing or wrong; agents would refuse a new one."""


async def agreed_key(store: Store, state: Path) -> Ed25519PrivateKey:
    """Read this instance's key, or create the fleet's first one; raises `NoSigningKey` if it is another key."""
    async with store.change() as session:  # other instances that start wait here
        record = await session.get(TableKeyRecord, 1)
        key = _signing_key(state, may_make=record is None)
        if record is None:
            session.add(TableKeyRecord(id=1, public_key=public_bytes(key)))
        elif not hmac.compare_digest(record.public_key, public_bytes(key)):
            raise NoSigningKey(
                f"{state / SIGNING_KEY} is not the key that tables are signed with: copy it from another instance"
            )
    return key


def _signing_key(state: Path, *, may_make: bool) -> Ed25519PrivateKey:
    """Read the key, or create it if that is allowed; raises `NoSigningKey`."""
    path = state / SIGNING_KEY
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        if not may_make:
            hint = f"{path} is missing, but tables were signed already: restore it from a backup or another instance"
            raise NoSigningKey(hint) from None
        return _create_key(path)
    except ValueError as error:
        raise NoSigningKey(f"{path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NoSigningKey(f"{path}: not an Ed25519 key")
    return key


def _create_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the public key; 32 bytes."""
    return key.public_key().public_bytes_raw()
