"""Queries about the generations of the forwarding table."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.records import TableRecord


async def newest(session: AsyncSession) -> TableRecord | None:
    return await session.scalar(select(TableRecord).order_by(TableRecord.generation.desc()).limit(1))


async def drop_until(session: AsyncSession, generation: int) -> None:
    await session.execute(delete(TableRecord).where(TableRecord.generation <= generation))
