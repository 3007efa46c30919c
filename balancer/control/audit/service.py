"""Write the audit log: an entry is stored in the transaction of the change that it records."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.access import AuditEntry, Role
from balancer.control.authentication.caller import Caller
from balancer.control.storage.records import AuditRecord


def record_change(
    session: AsyncSession, now: datetime, by: Caller, what: str, target: str, detail: str = ""
) -> None:
    """Add an entry."""
    session.add(
        AuditRecord(
            at=now,
            who=by.name,
            role=by.role.value,
            what=what,
            target=target[:120],
            detail=detail[:200],
            why=by.why[:200],
        )
    )


def entry_view(entry: AuditRecord) -> AuditEntry:
    """Show an entry."""
    return AuditEntry(
        id=entry.id,
        at=entry.at,
        who=entry.who,
        role=Role(entry.role),
        what=entry.what,
        target=entry.target,
        detail=entry.detail,
        why=entry.why,
    )
