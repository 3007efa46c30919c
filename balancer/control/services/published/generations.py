"""Queries about the generations of published services."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.services.published.live import KEPT_GENERATIONS
from balancer.control.storage.records import ServiceGenerationRecord


async def newest_generation(session: AsyncSession) -> int:
    return await session.scalar(select(func.max(ServiceGenerationRecord.generation))) or 0


async def list_after(session: AsyncSession, generation: int) -> Sequence[ServiceGenerationRecord]:
    """Oldest first."""
    column = ServiceGenerationRecord.generation
    query = select(ServiceGenerationRecord).where(column > generation).order_by(column)
    return (await session.scalars(query)).all()


async def drop_oldest(session: AsyncSession) -> None:
    """Delete all but the generations from which differences are made."""
    column = ServiceGenerationRecord.generation
    surplus = select(column).order_by(column.desc()).offset(KEPT_GENERATIONS).limit(1)
    if (newest_surplus := await session.scalar(surplus)) is not None:
        await session.execute(delete(ServiceGenerationRecord).where(column <= newest_surplus))
