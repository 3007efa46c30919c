"""Queries about sites."""

from collections.abc import Collection, Sequence

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import EdgeRecord, SiteRecord


async def find_by_name(session: AsyncSession, name: str) -> SiteRecord | None:
    return await session.get(SiteRecord, name)


async def list_sites(session: AsyncSession, after: str, limit: int) -> Sequence[SiteRecord]:
    query = select(SiteRecord).where(SiteRecord.name > after).order_by(SiteRecord.name).limit(limit)
    return (await session.scalars(query)).all()


async def edge_states(session: AsyncSession, sites: Sequence[str]) -> Sequence[Row[str, str, bool]]:
    """Site, admin state and whether it is alive, for each edge of the sites."""
    query = select(EdgeRecord.site, EdgeRecord.admin_state, EdgeRecord.alive)
    return (await session.execute(query.where(EdgeRecord.site.in_(sites)))).all()


async def ring_members(
    session: AsyncSession, names: Collection[str] | None
) -> Sequence[Row[str, int, int, str, bool]]:
    """Site, id, weight, admin state and whether it is alive, for each edge of the sites that have a ring."""
    query = select(
        EdgeRecord.site, EdgeRecord.id, EdgeRecord.weight, EdgeRecord.admin_state, EdgeRecord.alive
    )
    query = query.join(SiteRecord, SiteRecord.name == EdgeRecord.site).where(SiteRecord.ring)
    if names is not None:
        query = query.where(SiteRecord.name.in_(names))
    return (await session.execute(query)).all()


async def vips_of(session: AsyncSession, name: str) -> Sequence[str]:
    """The VIPs that edges of a site serve."""
    return (
        await session.scalars(select(EdgeRecord.vip_name).where(EdgeRecord.site == name).distinct())
    ).all()


async def in_use(session: AsyncSession, name: str) -> bool:
    return await session.scalar(select(EdgeRecord.id).where(EdgeRecord.site == name).limit(1)) is not None
