"""Retention of the audit log and of stored transitions, which bounds the database."""

from datetime import timedelta

from balancer.control.audit import repository
from balancer.control.storage.store import Store


async def prune(store: Store, retention: timedelta) -> None:
    """Delete entries older than the retention; writes only if there are any."""
    end = store.now() - retention
    async with store.read() as session:
        if not await repository.has_before(session, end):
            return
    async with store.change() as session:
        await repository.drop_before(session, end)
