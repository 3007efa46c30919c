"""Queries about Fast Open keys."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import FastOpenKeyRecord

KEYS_KEPT = 2  # as many as the kernel takes: one that makes cookies, and the one before


async def list_kept(session: AsyncSession) -> Sequence[FastOpenKeyRecord]:
    """Newest first."""
    query = select(FastOpenKeyRecord).order_by(FastOpenKeyRecord.id.desc()).limit(KEYS_KEPT)
    return (await session.scalars(query)).all()


async def newest_id(session: AsyncSession) -> int:
    """The newest key's id; 0 where there is none."""
    return await session.scalar(select(func.max(FastOpenKeyRecord.id))) or 0


async def drop_older(session: AsyncSession) -> None:
    """Drop what is no longer kept."""
    ids = [each.id for each in await list_kept(session)]
    await session.execute(delete(FastOpenKeyRecord).where(FastOpenKeyRecord.id.not_in(ids)))
