"""`/v1/edges` and the leases below it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from balancer.api.schemas import (
    EdgePage,
    EdgePatch,
    EdgeReport,
    EdgeView,
    Enrolment,
    EnrolRequest,
    LeaseGrant,
    LeaseRequest,
)
from balancer.control.authentication.dependencies import (
    Admin,
    AuthenticatorPart,
    LeaseHolder,
    Operator,
    Owner,
    Reader,
    client_host,
    presented_sha256,
)
from balancer.control.edges.enrolment import EnrolmentService
from balancer.control.edges.heartbeats import HeartbeatService
from balancer.control.edges.lease_route import LeaseRoute
from balancer.control.edges.service import EdgeService
from balancer.control.http.paging import After, EdgeIdPath, Limit
from balancer.control.http.parts import provide_part
from balancer.control.http.preconditions import IfMatch, set_etag
from balancer.control.http.problems import refusal_responses, success_response

router = APIRouter(prefix="/v1/edges", tags=["edges"])
leases = APIRouter(prefix="/v1/edges", tags=["edges"])
EdgesPart = Annotated[EdgeService, Depends(provide_part(EdgeService))]
EnrolmentsPart = Annotated[EnrolmentService, Depends(provide_part(EnrolmentService))]
HeartbeatPart = Annotated[HeartbeatService, Depends(provide_part(HeartbeatService))]
AGAIN = success_response(200, Enrolment, "It had enrolled already.")


@router.post("", status_code=201, responses=AGAIN | refusal_responses(401, 403, 409, 410))
async def enrol(
    enrolments: EnrolmentsPart,
    authenticator: AuthenticatorPart,
    shown: Annotated[str, Depends(presented_sha256)],
    body: EnrolRequest,
    request: Request,
    response: Response,
) -> Enrolment:
    """Enrol, showing a one-time token, or again, showing the credential: what has changed is then pending."""
    with authenticator.limit_guesses(client_host(request), shown):
        enrolment, created = await enrolments.enrol_edge(shown, body)
    if not created:
        response.status_code = 200
    return enrolment


@router.get("", responses=refusal_responses(401, 403))
async def list_edges(edges: EdgesPart, _: Reader, after: After = 0, limit: Limit = 1000) -> EdgePage:
    """List edges by id, a page at a time."""
    items, following = await edges.list_edges(after, limit)
    return EdgePage(items=items, next=following)


@router.get("/{edge_id}", responses=refusal_responses(401, 403, 404, 410))
async def show_edge(edges: EdgesPart, _: Owner, edge_id: EdgeIdPath, response: Response) -> EdgeView:
    """Show one edge. Its ETag stands for what is wanted of it and where it is, not for its lease."""
    view, revision = await edges.show_edge(edge_id)
    set_etag(response, revision)
    return view


@router.patch("/{edge_id}", responses=refusal_responses(401, 403, 404, 409, 412))
async def patch_edge(
    edges: EdgesPart,
    by: Operator,
    edge_id: EdgeIdPath,
    body: EdgePatch,
    response: Response,
    if_match: IfMatch = None,
) -> EdgeView:
    """Change what is wanted of an edge: drain it, take it back, disable it, move it, weigh it, change its tunnels."""
    view, revision = await edges.patch_edge(edge_id, body, by.because(body.reason), if_match)
    set_etag(response, revision)
    return view


@router.post("/{edge_id}/pending", responses=refusal_responses(401, 403, 404, 409, 412))
async def accept_pending(
    enrolments: EnrolmentsPart, by: Operator, edge_id: EdgeIdPath, body: EdgeReport, if_match: IfMatch = None
) -> EdgeView:
    """Accept what an edge reports of itself: its `pending`, which the body repeats, is published from now on."""
    return await enrolments.accept_pending(edge_id, body, by, if_match)


@router.delete("/{edge_id}/pending", status_code=204, responses=refusal_responses(401, 403, 404, 412))
async def refuse_pending(
    enrolments: EnrolmentsPart, by: Operator, edge_id: EdgeIdPath, if_match: IfMatch = None
) -> None:
    """Refuse what an edge reports of itself: what was accepted before stays published."""
    await enrolments.refuse_pending(edge_id, by, if_match)


@router.delete("/{edge_id}", status_code=204, responses=refusal_responses(401, 403, 404, 412))
async def remove_edge(edges: EdgesPart, by: Admin, edge_id: EdgeIdPath, if_match: IfMatch = None) -> None:
    """Remove an edge; its id is not given again for the quarantine."""
    await edges.remove_edge(edge_id, by, if_match)


async def renew_lease(
    heartbeats: HeartbeatPart, _: LeaseHolder, edge_id: EdgeIdPath, body: LeaseRequest
) -> LeaseGrant:
    """Send a heartbeat, which renews the lease; the answer says what is wanted of the edge."""
    return await heartbeats.renew_lease(edge_id, body)


leases.add_api_route(
    "/{edge_id}/lease",
    renew_lease,
    methods=["PUT"],
    responses=refusal_responses(401, 403, 404, 409, 410),
    route_class_override=LeaseRoute,
)
