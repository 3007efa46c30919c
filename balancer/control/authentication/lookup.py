"""Queries for tokens and logins by hash."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import LoginRecord, TokenRecord


async def find_token(session: AsyncSession, token_sha256: str) -> TokenRecord | None:
    return await session.scalar(select(TokenRecord).where(TokenRecord.token_sha256 == token_sha256))


async def list_edge_tokens(session: AsyncSession, edge_id: int) -> Sequence[TokenRecord]:
    """Return the tokens that replace an edge's credential."""
    return (await session.scalars(select(TokenRecord).where(TokenRecord.edge_id == edge_id))).all()


async def find_login_token(session: AsyncSession, cookie_sha256: str, now: datetime) -> str | None:
    """Return the hash of the token that logged in with this cookie, while the login lasts."""
    query = select(LoginRecord.token_sha256).where(
        LoginRecord.cookie_sha256 == cookie_sha256, LoginRecord.expires_at > now
    )
    return await session.scalar(query)
