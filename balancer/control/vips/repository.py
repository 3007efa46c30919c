"""Queries about VIPs."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import VipRecord


async def find_by_name(session: AsyncSession, name: str) -> VipRecord | None:
    return await session.get(VipRecord, name)


async def find_by_address(session: AsyncSession, v4: str | None, v6: str | None) -> VipRecord | None:
    same = [column == value for column, value in ((VipRecord.v4, v4), (VipRecord.v6, v6)) if value]
    return await session.scalar(select(VipRecord).where(or_(*same)).limit(1))


async def list_all(session: AsyncSession) -> Sequence[VipRecord]:
    return (await session.scalars(select(VipRecord).order_by(VipRecord.name))).all()


async def list_page(session: AsyncSession, after: str, limit: int) -> Sequence[VipRecord]:
    query = select(VipRecord).where(VipRecord.name > after).order_by(VipRecord.name).limit(limit)
    return (await session.scalars(query)).all()
