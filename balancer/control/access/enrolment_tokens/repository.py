"""Queries about enrolment tokens."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import EnrolmentTokenRecord


async def find_by_hash(session: AsyncSession, token_sha256: str) -> EnrolmentTokenRecord | None:
    query = select(EnrolmentTokenRecord).where(EnrolmentTokenRecord.token_sha256 == token_sha256)
    return await session.scalar(query)


async def find_by_id(session: AsyncSession, token_id: int) -> EnrolmentTokenRecord | None:
    return await session.get(EnrolmentTokenRecord, token_id)


async def list_tokens(session: AsyncSession, after: int, limit: int) -> Sequence[EnrolmentTokenRecord]:
    query = select(EnrolmentTokenRecord).where(EnrolmentTokenRecord.id > after)
    return (await session.scalars(query.order_by(EnrolmentTokenRecord.id).limit(limit))).all()
