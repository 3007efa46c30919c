"""The keys that sign tables: in the state folder, readable by their owner only.

The first is created at the first start, its successor at the beginning of a rotation. The database holds their public
halves, so that no instance signs with a key that agents do not know, and decides which of them is in use: files follow
it, also after a crash in between.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.http.problems import Refusal
from balancer.control.storage.database import NEXT_SIGNING_KEY, SIGNING_KEY, UNUSED_SIGNING_KEY
from balancer.control.storage.records import TableKeyLinkRecord, TableKeyRecord
from balancer.control.storage.store import Store
from node.key_link import LINKS_KEPT, KeyLink
from runtime.files import replace_text

CURRENT, FOLLOWING = 1, 2  # rows of the public halves


class NoSigningKey(Exception):
    """The signing key is missing, damaged or another one; `hint` says what to do. Agents would refuse a new one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What the database says: the key in use, the one that follows, and links from the keys before."""

    current: bytes
    following: bytes | None
    links: tuple[KeyLink, ...]


class SigningKeys:
    """The private keys of this instance, as the database says which is in use."""

    def __init__(self, state: Path, public: PublicKeys, current: Ed25519PrivateKey) -> None:
        self.state = state
        self.public = public
        self._current: Ed25519PrivateKey | None = current

    @classmethod
    def of(cls, key: Ed25519PrivateKey) -> "SigningKeys":
        """Return a key that is never rotated, for what needs no folder."""
        return cls(Path(), PublicKeys(public_bytes(key), None, ()), key)

    @property
    def current(self) -> Ed25519PrivateKey:
        """Return the key to sign with; refuses with 503 where another instance has rotated it."""
        if self._current is None:
            detail = (
                f"{SIGNING_KEY} is missing, damaged, or was rotated by another instance: copy that instance's file to "
                "this one's state folder"
            )
            raise Refusal(503, "signing-key-missing", detail, field="state")
        return self._current

    def adopt(self, public: PublicKeys) -> None:
        """Follow the database: use the key that it names, if this folder has it."""
        self.public = public
        if self._current is None or public_bytes(self._current) != public.current:
            self._current = None  # nothing is signed with the old one, also where a file cannot be read
            self._current = _settle_files(self.state, public.current)

    async def catch_up(self, session: AsyncSession) -> None:
        """Load what other instances have changed."""
        public = await read_public_keys(session)
        if public is not None and (public != self.public or self._current is None):
            self.adopt(public)

    async def publish(self, session: AsyncSession) -> Callable[[], None] | None:
        """Return what puts changed keys in use once the change is committed."""
        public: PublicKeys | None = session.info.get("signing keys")
        return None if public is None else lambda: self.adopt(public)


async def agreed_keys(store: Store, state: Path) -> SigningKeys:
    """Read this instance's keys, or create the fleet's first one; raises `NoSigningKey` without the key in use."""
    async with store.change() as session:  # other instances that start wait here
        public = await read_public_keys(session)
        if public is None:
            key = _read_key(state / SIGNING_KEY) or create_key(state / SIGNING_KEY)
            session.add(TableKeyRecord(id=CURRENT, public_key=public_bytes(key)))
            return SigningKeys(state, PublicKeys(public_bytes(key), None, ()), key)
        found = _settle_files(state, public.current)
        if found is None:
            raise _missing_key(state, public.current)
        if public.following is None:
            (state / NEXT_SIGNING_KEY).unlink(
                missing_ok=True
            )  # of a rotation that ended before it was stored
    return SigningKeys(state, public, found)


async def keys_to_replace(store: Store, state: Path) -> SigningKeys:
    """Read this instance's keys for a replacement; where the key in use is lost, one that is nowhere stored.

    A damaged or foreign file is kept under another name. Raises `NoSigningKey` where nothing was ever signed.
    """
    async with store.read() as session:
        public = await read_public_keys(session)
    if public is None:
        raise NoSigningKey(
            f"{state} has no signing key to replace", "start the control plane, which creates the first one"
        )
    found = _settle_files(state, public.current)
    if found is None:
        path = state / SIGNING_KEY
        if path.exists():
            os.replace(path, state / UNUSED_SIGNING_KEY)
        found = Ed25519PrivateKey.generate()
    return SigningKeys(state, public, found)


def _missing_key(state: Path, public: bytes) -> NoSigningKey:
    """Say why the state folder does not have the key in use, and what to do."""
    path = state / SIGNING_KEY
    try:
        found = _read_key(path)
    except NoSigningKey as error:
        what = str(error)
    else:
        named = f"tables are signed with key {public.hex()[:16]}"
        what = (
            f"{path} is missing, and {named}"
            if found is None
            else f"{path} is key {public_bytes(found).hex()[:16]}, but {named}"
        )
    return NoSigningKey(
        what,
        "copy the key from a backup or from another instance; if it is lost: "
        f"sennit table-key replace --state {state}",
    )


async def read_public_keys(session: AsyncSession) -> PublicKeys | None:
    """Return the stored public halves; None before the first start."""
    records = {record.id: record.public_key for record in await session.scalars(select(TableKeyRecord))}
    if CURRENT not in records:
        return None
    query = select(TableKeyLinkRecord).order_by(TableKeyLinkRecord.id.desc()).limit(LINKS_KEPT)
    newest = [KeyLink(each.before, each.after, each.signature) for each in await session.scalars(query)]
    return PublicKeys(records[CURRENT], records.get(FOLLOWING), tuple(reversed(newest)))


def _settle_files(state: Path, public: bytes) -> Ed25519PrivateKey | None:
    """Return the key with this public half, moved to its place if it was the next one; None if it is not here."""
    for name in (SIGNING_KEY, NEXT_SIGNING_KEY):
        key = _find_key(state / name)
        if key is not None and public_bytes(key) == public:
            if name == NEXT_SIGNING_KEY:
                os.replace(state / NEXT_SIGNING_KEY, state / SIGNING_KEY)
                _sync_folder(state)
            return key
    return None


def find_next_key(state: Path) -> Ed25519PrivateKey | None:
    """Return the key of a rotation under way; None where this folder has none, or a damaged one."""
    return _find_key(state / NEXT_SIGNING_KEY)


def _find_key(path: Path) -> Ed25519PrivateKey | None:
    """Read a key; None where the file is missing or damaged."""
    try:
        return _read_key(path)
    except NoSigningKey:
        return None


def _read_key(path: Path) -> Ed25519PrivateKey | None:
    """Read a key; None where there is no file. Raises `NoSigningKey` for a damaged one."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise NoSigningKey(f"{path} is damaged: not an Ed25519 key in PEM", "restore it, or remove it")
    return key


def create_key(path: Path) -> Ed25519PrivateKey:
    """Create a key file, durably; nothing is left of it where that fails."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_text(path, pem.decode(), 0o600, durable=True)
    return key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the public key; 32 bytes."""
    return key.public_key().public_bytes_raw()
