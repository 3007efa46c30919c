"""Retention of the audit log and of stored transitions, which bounds the database."""

from balancer.control.audit import repository
from balancer.control.plane import ControlPlane


async def prune(plane: ControlPlane) -> None:
    """Delete entries older than the retention; writes only if there are any."""
    end = plane.clock.now() - plane.rules.audit_retention
    async with plane.store.read() as session:
        if not await repository.has_before(session, end):
            return
    async with plane.store.change() as session:
        await repository.drop_before(session, end)
