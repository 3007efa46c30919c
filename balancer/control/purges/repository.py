"""Queries about purges."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import PurgeRecord, ServiceHostnameRecord, ServiceRecord


async def list_purges(session: AsyncSession, after: int, limit: int) -> Sequence[PurgeRecord]:
    query = select(PurgeRecord).where(PurgeRecord.id > after).order_by(PurgeRecord.id).limit(limit)
    return (await session.scalars(query)).all()


async def newest_id(session: AsyncSession) -> int:
    return await session.scalar(select(func.max(PurgeRecord.id))) or 0


async def has_services(session: AsyncSession) -> bool:
    return await session.scalar(select(ServiceRecord.name).limit(1)) is not None


async def has_service(session: AsyncSession, name: str) -> bool:
    return await session.get(ServiceRecord, name) is not None


async def has_hostname(session: AsyncSession, host: str) -> bool:
    """Return whether a service has this host, or a wildcard that covers it."""
    labels = host.split(".")
    names = [host, *("*." + ".".join(labels[at:]) for at in range(1, len(labels)))]
    column = ServiceHostnameRecord.hostname
    return await session.scalar(select(column).where(column.in_(names)).limit(1)) is not None


async def drop_oldest(session: AsyncSession, kept: int) -> None:
    """Delete all but the newest purges. Ids have gaps between epochs, so rows are counted."""
    surplus = select(PurgeRecord.id).order_by(PurgeRecord.id.desc()).offset(kept).limit(1)
    if (newest_surplus := await session.scalar(surplus)) is not None:
        await session.execute(delete(PurgeRecord).where(PurgeRecord.id <= newest_surplus))
