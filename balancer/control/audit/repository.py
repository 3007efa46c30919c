"""Queries about the audit log."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.records import AuditRecord


async def page(session: AsyncSession, before: int | None, limit: int) -> Sequence[AuditRecord]:
    """Newest first."""
    query = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)
    if before:
        query = query.where(AuditRecord.id < before)
    return (await session.scalars(query)).all()
