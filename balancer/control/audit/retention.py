"""How long the audit log is kept, and the transitions of edges with it: nothing in the database grows for ever."""

from balancer.control.audit import repository
from balancer.control.plane import ControlPlane


async def prune(plane: ControlPlane) -> None:
    """Drop what is older than the rules want; without such, nothing is changed."""
    end = plane.clock.now() - plane.rules.audit_retention
    async with plane.store.read() as session:
        if not await repository.has_before(session, end):
            return
    async with plane.store.change() as session:
        await repository.drop_before(session, end)
