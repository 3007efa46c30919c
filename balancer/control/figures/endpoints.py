"""`/v1/figures` and `/v1/services/NAME/figures`: what services did lately, as edges reported it."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from balancer.api.figures import (
    FiguresPoint,
    FiguresTotals,
    FiguresView,
    ServiceFiguresBody,
    ServiceTotal,
)
from balancer.control.authentication.dependencies import Reader
from balancer.control.figures.rings import RINGS, FigureRings
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import Refusal, refusal_responses

router = APIRouter(prefix="/v1", tags=["figures"])
LONGEST = RINGS[-1].seconds * (RINGS[-1].steps - 1)  # nearly a day
FigureRingsPart = Annotated[FigureRings, Depends(provide_part(FigureRings))]
Seconds = Annotated[int, Query(ge=10, le=LONGEST, description="Of the last so many seconds, in whole steps.")]
Step = Annotated[
    Literal["10", "60", "600"], Query(description="Seconds of a step: of a quarter, 3 and 24 hours.")
]


@router.get("/figures", responses=refusal_responses(401, 403))
async def show_totals(rings: FigureRingsPart, _: Reader, seconds: Seconds = 60) -> FiguresTotals:
    """Sum what each service did on all edges in the last seconds, the busiest first."""
    totals = rings.totals_since(seconds)
    services = [
        ServiceTotal(service=name, **ServiceFiguresBody.named_numbers(numbers))
        for name, numbers in totals.items()
    ]
    return FiguresTotals(seconds=seconds, services=sorted(services, key=lambda one: -one.requests))


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
