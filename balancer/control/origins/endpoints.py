"""`/v1/origins`: which origins of services are not healthy at which edges, and which are the slowest."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from balancer.api.origins import OriginsView
from balancer.control.authentication.dependencies import Reader
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import refusal_responses
from balancer.control.origins.board import OriginBoard

router = APIRouter(prefix="/v1", tags=["figures"])
OriginBoardPart = Annotated[OriginBoard, Depends(provide_part(OriginBoard))]
OfService = Annotated[
    str | None, Query(max_length=63, description="Only of this service.", examples=["shop"])
]


@router.get("/origins", responses=refusal_responses(401, 403))
async def show_origins(origins: OriginBoardPart, _: Reader, service: OfService = None) -> OriginsView:
    """List origins that are not healthy at an edge, then the slowest, as live edges report them; 200 at most."""
    return origins.view(service)
