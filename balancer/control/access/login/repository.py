"""Queries about logins."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import LoginRecord


async def find_token(session: AsyncSession, cookie_sha256: str, now: datetime) -> str | None:
    """The hash of the token that logged in with this cookie, while it lasts."""
    query = select(LoginRecord.token_sha256).where(
        LoginRecord.cookie_sha256 == cookie_sha256, LoginRecord.expires_at > now
    )
    return await session.scalar(query)


async def count_logins(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(LoginRecord)) or 0


async def drop_expired(session: AsyncSession, now: datetime) -> None:
    await session.execute(delete(LoginRecord).where(LoginRecord.expires_at <= now))


async def drop_login(session: AsyncSession, cookie_sha256: str) -> None:
    await session.execute(delete(LoginRecord).where(LoginRecord.cookie_sha256 == cookie_sha256))
