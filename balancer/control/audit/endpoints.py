"""`/v1/audit`."""

from fastapi import APIRouter

from balancer.api.access import AuditPage, TransitionPage, TransitionView
from balancer.control.audit import repository
from balancer.control.audit.service import entry_view
from balancer.control.authentication.dependencies import Operator, Reader
from balancer.control.http.paging import After, Limit
from balancer.control.http.parts import StorePart
from balancer.control.http.problems import refusal_responses

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/transitions", responses=refusal_responses(401, 403))
async def list_transitions(
    store: StorePart, _: Reader, after: After = 0, limit: Limit = 100
) -> TransitionPage:
    """List when edges went up and down, and why, newest first, a page at a time."""
    async with store.read() as session:
        found = await repository.list_transitions(session, after or None, limit + 1)
    items = [
        TransitionView(id=each.id, at=each.at, edge_id=each.edge_id, what=each.what, detail=each.detail)
        for each in found[:limit]
    ]
    return TransitionPage(items=items, next=found[limit - 1].id if len(found) > limit else None)


@router.get("/audit", responses=refusal_responses(401, 403))
async def list_audit(store: StorePart, _: Operator, after: After = 0, limit: Limit = 100) -> AuditPage:
    """List changes, newest first, a page at a time: who made them, what they were, and why."""
    async with store.read() as session:
        found = await repository.list_entries(session, after or None, limit + 1)
    following = found[limit - 1].id if len(found) > limit else None
    return AuditPage(items=[entry_view(each) for each in found[:limit]], next=following)
