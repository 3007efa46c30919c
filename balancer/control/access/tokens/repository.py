"""Queries about named tokens."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import TokenRecord


async def find_by_id(session: AsyncSession, token_id: int) -> TokenRecord | None:
    return await session.get(TokenRecord, token_id)


async def find_valid(session: AsyncSession, name: str, now: datetime) -> Sequence[TokenRecord]:
    lasting = or_(TokenRecord.expires_at.is_(None), TokenRecord.expires_at > now)
    query = select(TokenRecord).where(TokenRecord.name == name, TokenRecord.revoked_at.is_(None), lasting)
    return (await session.scalars(query)).all()


async def list_tokens(session: AsyncSession, after: int, limit: int) -> Sequence[TokenRecord]:
    query = select(TokenRecord).where(TokenRecord.id > after).order_by(TokenRecord.id).limit(limit)
    return (await session.scalars(query)).all()
