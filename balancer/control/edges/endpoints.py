"""`/v1/edges` and the leases below it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from balancer.api.schemas import (
    EdgePage,
    EdgePatch,
    EdgeView,
    Enrolment,
    EnrolRequest,
    LeaseGrant,
    LeaseRequest,
)
from balancer.control.edges import service
from balancer.control.identity import Admin, Owner, bearer_sha256
from balancer.control.plane import Plane

router = APIRouter(prefix="/v1/edges", tags=["edges"])


@router.post("", status_code=201, responses={200: {"description": "It had enrolled already."}})
async def enrol(
    plane: Plane, shown: Annotated[str, Depends(bearer_sha256)], body: EnrolRequest, response: Response
) -> Enrolment:
    """Enrol, showing a one-time token, or again, showing the credential."""
    enrolment, created = await service.enrol(plane, shown, body)
    if not created:
        response.status_code = 200
    return enrolment


@router.get("")
async def list_edges(
    plane: Plane,
    _: Admin,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> EdgePage:
    """List edges by id, a page at a time."""
    items, following = await service.page(plane, after, limit)
    return EdgePage(items=items, next=following)


@router.get("/{edge_id}")
async def show_edge(plane: Plane, _: Owner, edge_id: int) -> EdgeView:
    """Show one edge."""
    return await service.get(plane, edge_id)


@router.patch("/{edge_id}")
async def patch_edge(plane: Plane, admin: Admin, edge_id: int, body: EdgePatch) -> EdgeView:
    """Change what is wanted of an edge."""
    return await service.set_admin_state(plane, edge_id, body.admin_state, admin.name)


@router.delete("/{edge_id}", status_code=204)
async def remove_edge(plane: Plane, admin: Admin, edge_id: int) -> None:
    """Remove an edge; its id is not given again for the quarantine."""
    await service.remove(plane, edge_id, admin.name)


@router.put("/{edge_id}/lease")
async def renew_lease(plane: Plane, owner: Owner, edge_id: int, body: LeaseRequest) -> LeaseGrant:
    """Send a heartbeat."""
    return await service.heartbeat(plane, edge_id, body)
