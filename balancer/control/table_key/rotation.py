"""Rotation of the key that signs tables and services, and its replacement where it was stolen.

A rotation has a beginning, at which the key in use signs the next one, and an end, at which the next one is put in use.
Nodes accept both in between. A replacement has no overlap: nodes are given the new key by an operator.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.tables import KeyRotationAction, KeyRotationView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.problems import Refusal
from balancer.control.services.published.changes import begin_generation
from balancer.control.services.sealing import SecretSeal, SecretUnreadable
from balancer.control.storage.database import NEXT_SIGNING_KEY
from balancer.control.storage.records import ServiceSecretRecord, TableKeyLinkRecord, TableKeyRecord
from balancer.control.storage.store import Store
from balancer.control.table.known_keys import KnownKeys
from balancer.control.table.signing_key import (
    CURRENT,
    FOLLOWING,
    PublicKeys,
    SigningKeys,
    create_key,
    find_next_key,
    public_bytes,
    read_public_keys,
)
from node.key_link import KeyLink

NODES_SHOWN = 100


class KeyRotation:
    """Begins and ends rotations, each in one change."""

    def __init__(self, store: Store, keys: SigningKeys, known: KnownKeys) -> None:
        self._store = store
        self._keys = keys
        self._known = known

    def view(self) -> KeyRotationView:
        """Return the keys, and which live nodes do not accept the newest yet."""
        public = self._keys.public
        newest = public.following or public.current
        behind = self._known.nodes_without(newest)
        return KeyRotationView(
            current=public.current.hex(),
            next=public.following.hex() if public.following else None,
            nodes=self._known.count,
            ready=self._known.count - len(behind),
            behind=behind[:NODES_SHOWN],
        )

    async def act(self, action: KeyRotationAction, by: Caller, *, force: bool) -> KeyRotationView:
        """Take a step; refuses one that does not follow from the last (409)."""
        async with self._store.change() as session:
            public = await read_public_keys(session)
            assert public is not None  # the start stored it
            match action:
                case KeyRotationAction.BEGIN:
                    changed = self._begin(session, public)
                case KeyRotationAction.CANCEL:
                    changed = await self._cancel(session, public)
                case KeyRotationAction.FINISH:
                    changed = await self._finish(session, public, force=force)
                case KeyRotationAction.REPLACE:
                    changed = await self._replace(session)
            session.info["signing keys"] = changed
            target = f"key {(changed.following or changed.current).hex()[:16]}"
            audit.record_change(session, self._store.now(), by, f"table-key.{action.value}", target)
        if changed.following is None:
            (self._keys.state / NEXT_SIGNING_KEY).unlink(missing_ok=True)
        return self.view()

    def _begin(self, session: AsyncSession, public: PublicKeys) -> PublicKeys:
        if public.following is not None:
            raise Refusal(
                409, "rotation-under-way", "a rotation is under way: finish or cancel it", field="action"
            )
        current = self._keys.current
        following = public_bytes(_create_next_key(self._keys.state))
        link = KeyLink.sign(current, following)
        session.add(TableKeyRecord(id=FOLLOWING, public_key=following))
        session.add(TableKeyLinkRecord(before=link.before, after=link.after, signature=link.signature))
        return PublicKeys(public.current, following, (*public.links, link))

    async def _cancel(self, session: AsyncSession, public: PublicKeys) -> PublicKeys:
        following = _require_following(public)
        await session.execute(delete(TableKeyRecord).where(TableKeyRecord.id == FOLLOWING))
        await session.execute(delete(TableKeyLinkRecord).where(TableKeyLinkRecord.after == following))
        links = tuple(link for link in public.links if link.after != following)
        return PublicKeys(public.current, None, links)

    async def _finish(self, session: AsyncSession, public: PublicKeys, *, force: bool) -> PublicKeys:
        following = _require_following(public)
        key = find_next_key(self._keys.state)
        if key is None or public_bytes(key) != following:
            detail = (
                f"{NEXT_SIGNING_KEY} of this rotation is not in this instance's state folder, or damaged: copy it from "
                "the instance that began, or cancel the rotation and begin again"
            )
            raise Refusal(409, "next-key-missing", detail, field="action")
        if (behind := self._known.nodes_without(following)) and not force:
            named = ", ".join(map(str, behind[:10]))
            detail = f"edges that do not know the next key yet: {named}; wait for them, or use force"
            raise Refusal(409, "nodes-behind", detail, field="force")
        await self._put_in_use(session, self._keys.current, key)
        return PublicKeys(following, None, public.links)

    async def _replace(self, session: AsyncSession) -> PublicKeys:
        """Put a key in use that no earlier one has signed: a thief who has those could lead nodes to another."""
        current = self._keys.current
        await session.execute(delete(TableKeyLinkRecord))
        key = _create_next_key(self._keys.state)
        await self._put_in_use(session, current, key)
        return PublicKeys(public_bytes(key), None, ())

    async def _put_in_use(
        self, session: AsyncSession, current: Ed25519PrivateKey, key: Ed25519PrivateKey
    ) -> None:
        """Sign everything anew with a key, and encrypt secrets with what is derived from it."""
        record = await session.get(TableKeyRecord, CURRENT)
        assert record is not None
        record.public_key = public_bytes(key)
        await session.execute(delete(TableKeyRecord).where(TableKeyRecord.id == FOLLOWING))
        await _seal_again(session, SecretSeal(SigningKeys.of(current)), SecretSeal(SigningKeys.of(key)))
        session.info["signed anew"] = True
        begin_generation(session)


async def _seal_again(session: AsyncSession, before: SecretSeal, after: SecretSeal) -> None:
    for record in await session.scalars(select(ServiceSecretRecord)):
        try:
            value = before.open_value(record.service, record.key, record.sealed)
        except SecretUnreadable:
            continue  # it was unreadable already, and stays so
        record.sealed = after.seal_value(record.service, record.key, value)


def _create_next_key(state: Path) -> Ed25519PrivateKey:
    """Create the next key's file, over one of a rotation that was never stored. Refuses where it cannot (503)."""
    path = state / NEXT_SIGNING_KEY
    try:
        return create_key(path)
    except OSError as error:
        detail = f"cannot write {path}: {error.strerror}; nothing was changed"
        raise Refusal(503, "signing-key-not-written", detail, field="state") from None


def _require_following(public: PublicKeys) -> bytes:
    if public.following is None:
        raise Refusal(409, "no-rotation", "no rotation is under way: begin one", field="action")
    return public.following
