"""Queries about logins."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import LoginRecord


async def count_logins(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(LoginRecord)) or 0


async def drop_expired(session: AsyncSession, now: datetime) -> None:
    await session.execute(delete(LoginRecord).where(LoginRecord.expires_at <= now))


async def drop_login(session: AsyncSession, cookie_sha256: str) -> None:
    await session.execute(delete(LoginRecord).where(LoginRecord.cookie_sha256 == cookie_sha256))
