"""Queries about enrolment tokens."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.records import EnrolmentTokenRecord


async def by_hash(session: AsyncSession, token_sha256: str) -> EnrolmentTokenRecord | None:
    query = select(EnrolmentTokenRecord).where(EnrolmentTokenRecord.token_sha256 == token_sha256)
    return await session.scalar(query)


async def every(session: AsyncSession) -> Sequence[EnrolmentTokenRecord]:
    return (await session.scalars(select(EnrolmentTokenRecord).order_by(EnrolmentTokenRecord.id))).all()
