"""`/v1/audit`."""

from fastapi import APIRouter

from balancer.api.access import AuditPage
from balancer.control.audit import repository
from balancer.control.audit.service import entry_view
from balancer.control.authentication.dependencies import Operator
from balancer.control.http.paging import After, Limit
from balancer.control.http.parts import StorePart
from balancer.control.http.problems import refusal_responses

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("", responses=refusal_responses(401, 403))
async def list_audit(store: StorePart, _: Operator, after: After = 0, limit: Limit = 100) -> AuditPage:
    """List changes, newest first, a page at a time: who made them, what they were, and why."""
    async with store.read() as session:
        found = await repository.list_entries(session, after or None, limit + 1)
    following = found[limit - 1].id if len(found) > limit else None
    return AuditPage(items=[entry_view(each) for each in found[:limit]], next=following)
