"""Queries about purges."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import PurgeRecord


async def list_purges(session: AsyncSession, after: int, limit: int) -> Sequence[PurgeRecord]:
    query = select(PurgeRecord).where(PurgeRecord.id > after).order_by(PurgeRecord.id).limit(limit)
    return (await session.scalars(query)).all()


async def newest_id(session: AsyncSession) -> int:
    return await session.scalar(select(func.max(PurgeRecord.id))) or 0


async def drop_until(session: AsyncSession, purge_id: int) -> None:
    await session.execute(delete(PurgeRecord).where(PurgeRecord.id <= purge_id))
