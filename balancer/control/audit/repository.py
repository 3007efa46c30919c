"""Queries about the audit log."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import AuditRecord, TransitionRecord


async def list_entries(session: AsyncSession, before: int | None, limit: int) -> Sequence[AuditRecord]:
    """Newest first."""
    query = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)
    if before:
        query = query.where(AuditRecord.id < before)
    return (await session.scalars(query)).all()


async def list_transitions(
    session: AsyncSession, before: int | None, limit: int
) -> Sequence[TransitionRecord]:
    """Newest first."""
    query = select(TransitionRecord).order_by(TransitionRecord.id.desc()).limit(limit)
    if before:
        query = query.where(TransitionRecord.id < before)
    return (await session.scalars(query)).all()


async def has_before(session: AsyncSession, end: datetime) -> bool:
    """Return whether any entry is older than `end`."""
    for record in AuditRecord, TransitionRecord:
        oldest = await session.scalar(select(record.at).order_by(record.id).limit(1))
        if oldest is not None and oldest < end:
            return True
    return False


async def drop_before(session: AsyncSession, end: datetime) -> None:
    """Delete audit entries and transitions older than `end`."""
    for record in AuditRecord, TransitionRecord:
        await session.execute(delete(record).where(record.at < end))
