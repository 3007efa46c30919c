"""Enrolment tokens: valid once and until they expire; only their hash is stored."""

import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.schemas import EnrolmentToken, EnrolmentTokenRequest, NewEnrolmentToken
from balancer.control.access.enrolment_tokens import repository
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller, sha256_hex
from balancer.control.http.problems import Refusal
from balancer.control.storage.records import EnrolmentTokenRecord
from balancer.control.storage.store import Store


def token_view(record: EnrolmentTokenRecord) -> EnrolmentToken:
    """Show a token without its secret."""
    return EnrolmentToken(
        id=record.id,
        note=record.note,
        edge_name=record.edge_name,
        edge_id=record.edge_id,
        expires_at=record.expires_at,
        used_at=record.used_at,
    )


async def create_token(store: Store, body: EnrolmentTokenRequest, by: Caller) -> NewEnrolmentToken:
    """Create a token."""
    token, now = secrets.token_urlsafe(32), store.now()
    record = EnrolmentTokenRecord(
        token_sha256=sha256_hex(token),
        note=body.note,
        edge_name=body.edge_name,
        edge_id=body.edge_id,
        replaces=body.replaces,
        created_at=now,
        expires_at=now + timedelta(seconds=body.expires_seconds),
    )
    async with store.change() as session:
        session.add(record)
        await session.flush()
        target = f"id {record.id}"
        audit.record_change(
            session, now, by.because(body.note), "enrolment-token.create", target, body.edge_name or ""
        )
    return NewEnrolmentToken(**token_view(record).model_dump(), token=token)


async def revoke_token(store: Store, token_id: int, by: Caller) -> None:
    """Delete a token that was not used."""
    async with store.change() as session:
        record = await repository.find_by_id(session, token_id)
        if record is None:
            raise Refusal(404, "no-such-token", f"there is no enrolment token {token_id}", field="token_id")
        if record.used_at is not None:
            raise Refusal(409, "enrolment-token-used", "this enrolment token was used", field="token_id")
        await session.delete(record)
        audit.record_change(session, store.now(), by, "enrolment-token.revoke", f"id {token_id}")


async def find_usable(session: AsyncSession, shown_sha256: str, now: datetime) -> EnrolmentTokenRecord:
    """Return the presented token; Refusal if it is unknown, used or expired."""
    record = await repository.find_by_hash(session, shown_sha256)
    if record is None or not hmac.compare_digest(record.token_sha256, shown_sha256):
        raise Refusal(401, "enrolment-token-refused", "no such enrolment token", field="authorization")
    if record.used_at is not None:
        raise Refusal(401, "enrolment-token-used", "this enrolment token was used", field="authorization")
    if record.expires_at <= now:
        raise Refusal(401, "enrolment-token-expired", "this enrolment token expired", field="authorization")
    return record


async def has_enrolled(session: AsyncSession, shown_sha256: str, credential_sha256: str) -> bool:
    """Whether this token is the one with which that credential enrolled."""
    record = await repository.find_by_hash(session, shown_sha256)
    used_by = record.used_by_sha256 if record else None
    return used_by is not None and hmac.compare_digest(used_by, credential_sha256)
