"""`/v1/figures` and `/v1/services/NAME/figures`: what services did lately, as edges reported it."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from balancer.api.figures import (
    NO_SERVICE,
    FiguresHistory,
    FiguresPoint,
    FiguresTotals,
    FiguresView,
    ServiceFiguresBody,
    ServiceTotal,
)
from balancer.control.authentication.dependencies import Reader
from balancer.control.figures.edge_ring import STEP_SECONDS
from balancer.control.figures.history import edge_line, service_line
from balancer.control.figures.rings import RINGS, FigureRings
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import Refusal, refusal_responses
from node.vip import MAXIMUM_EDGE_ID

router = APIRouter(prefix="/v1", tags=["figures"])
LONGEST = RINGS[-1].seconds * (RINGS[-1].steps - 1)  # nearly a day
FigureRingsPart = Annotated[FigureRings, Depends(provide_part(FigureRings))]
Seconds = Annotated[int, Query(ge=10, le=LONGEST, description="Of the last so many seconds, in whole steps.")]
Step = Annotated[
    Literal["10", "60", "600"], Query(description="Seconds of a step: of a quarter, 3 and 24 hours.")
]
LINES_LIMIT = 50
Services = Annotated[
    tuple[Annotated[str, Field(max_length=63)], ...],
    Query(max_length=LINES_LIMIT, description="Repeat for several."),
]
Edges = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MAXIMUM_EDGE_ID)], ...],
    Query(min_length=1, max_length=LINES_LIMIT, description="Ids of edges; repeat for several."),
]


@router.get("/figures", responses=refusal_responses(401, 403))
async def show_totals(rings: FigureRingsPart, _: Reader, seconds: Seconds = 60) -> FiguresTotals:
    """Sum what each service did on all edges in the last seconds, the busiest first."""
    totals = rings.totals_since(seconds)
    unnamed = totals.pop(NO_SERVICE, None)
    services = [
        ServiceTotal(service=name, **ServiceFiguresBody.named_numbers(numbers))
        for name, numbers in totals.items()
    ]
    return FiguresTotals(
        seconds=seconds,
        services=sorted(services, key=lambda one: -one.requests),
        no_service=ServiceFiguresBody(**ServiceFiguresBody.named_numbers(unnamed)) if unnamed else None,
    )


@router.get("/figures/history", responses=refusal_responses(401, 403))
async def show_history(
    rings: FigureRingsPart, _: Reader, step: Step = "60", service: Services = ()
) -> FiguresHistory:
    """Show services, or without names the fleet, over time; what did nothing has zeros."""
    seconds = int(step)
    first, fleet = rings.steps_of(None, seconds)
    lines = [service_line(each, rings.steps_of(each, seconds)[1], seconds) for each in service]
    begin = datetime.fromtimestamp(first * seconds, UTC)
    lines = lines or [service_line(None, fleet, seconds)]
    return FiguresHistory(step_seconds=seconds, begin=begin, steps=len(fleet), lines=lines)


@router.get("/figures/edges", responses=refusal_responses(401, 403))
async def show_edges(rings: FigureRingsPart, _: Reader, edge: Edges) -> FiguresHistory:
    """Show edges over the last hour, minute by minute; what did nothing has zeros."""
    first, lines = rings.first_of_edges(), [edge_line(each, rings.steps_of_edge(each)) for each in edge]
    begin = datetime.fromtimestamp(first * STEP_SECONDS, UTC)
    return FiguresHistory(step_seconds=STEP_SECONDS, begin=begin, steps=len(lines[0].requests), lines=lines)


@router.get("/services/{name}/figures", responses=refusal_responses(401, 403, 404))
async def show_figures(rings: FigureRingsPart, _: Reader, name: str, step: Step = "60") -> FiguresView:
    """Show a service over time, summed over all edges; a control plane that has started again begins anew."""
    points = rings.points_of(name, int(step))
    if points is None:
        raise Refusal(404, "no-figures", f"no edge has reported a request for {name}", field="name")
    return FiguresView(
        service=name,
        step_seconds=int(step),
        points=[
            FiguresPoint(at=datetime.fromtimestamp(at, UTC), **ServiceFiguresBody.named_numbers(numbers))
            for at, numbers in points
        ],
    )
