"""`/v1/overview`: what the fleet page shows, one answer for edges and one for services, whatever their number."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from balancer.api.overview import EdgesOverview, ServicesOverview
from balancer.control.authentication.dependencies import Reader
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import refusal_responses
from balancer.control.overview.edges import EdgeOverview
from balancer.control.overview.services import ServiceOverview
from node.vip import MAXIMUM_EDGE_ID

router = APIRouter(prefix="/v1/overview", tags=["overview"])
Matching = Annotated[str, Query(max_length=255, description="Text that names, sites, ids or states contain.")]
First = Annotated[int, Query(ge=0, le=MAXIMUM_EDGE_ID, description="Place of the first one listed.")]
ShortLimit = Annotated[int, Query(ge=1, le=200)]
Named = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MAXIMUM_EDGE_ID)], ...],
    Query(max_length=400, description="Ids of edges that are shown in any case; repeat for several."),
]


@router.get("/edges", responses=refusal_responses(401, 403))
async def show_edges_overview(
    overview: Annotated[EdgeOverview, Depends(provide_part(EdgeOverview))],
    _: Reader,
    matching: Matching = "",
    first: First = 0,
    limit: ShortLimit = 100,
    edge: Named = (),
) -> EdgesOverview:
    """Count all edges, and list some: those that are not well first where not all are listed."""
    return await overview.show(matching.lower(), first, limit, edge)


@router.get("/services", responses=refusal_responses(401, 403))
async def show_services_overview(
    overview: Annotated[ServiceOverview, Depends(provide_part(ServiceOverview))],
    _: Reader,
    matching: Matching = "",
    limit: ShortLimit = 100,
) -> ServicesOverview:
    """List services: those that an edge refuses, then those with a rollout, then the busiest."""
    return await overview.show(matching.lower(), limit)
