"""`/v1/metrics`, for Prometheus, which shows a token of role read."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from balancer.control.authentication.dependencies import Reader
from balancer.control.http.parts import provide_part
from balancer.control.http.problems import refusal_responses
from balancer.control.metrics.collector import ControlMetrics, make_registry

MetricsPart = Annotated[ControlMetrics, Depends(provide_part(ControlMetrics))]
router = APIRouter(prefix="/v1/metrics", tags=["metrics"])
TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("", response_class=Response, responses=TEXT | refusal_responses(401, 403))
async def get_metrics(metrics: MetricsPart, _: Reader) -> Response:
    """Get what Prometheus collects: edges by state, generation, acknowledgements, leases, grants."""
    return Response(generate_latest(make_registry(metrics)), media_type=CONTENT_TYPE_LATEST)
