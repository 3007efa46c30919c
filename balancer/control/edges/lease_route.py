"""The way of a heartbeat: nearly all requests are one, so those without anything special go past FastAPI's machinery.

Whatever is not the plain case (an operator, a wrong body, another edge's token) takes the usual way, which refuses it
with its reasons. Both end in `service.heartbeat`.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from balancer.api.schemas import LeaseRequest
from balancer.control.access.identity import bearer_sha256
from balancer.control.edges import service
from balancer.control.edges.directory import Known
from balancer.control.http.problems import Refusal
from balancer.control.plane import ControlPlane


class LeaseRoute(APIRoute):
    """A route that tries the short way first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            plane: ControlPlane = request.app.state.plane
            edge = _plain(plane, request)
            if edge is None:
                return await usual(request)
            try:
                body = LeaseRequest.model_validate_json(await request.body())
            except ValidationError:
                return await usual(request)
            grant = await service.heartbeat(plane, edge.id, body)
            return Response(grant.model_dump_json(), media_type="application/json")

        return handle


def _plain(plane: ControlPlane, request: Request) -> Known | None:
    """The edge, where it asks for itself and memory knows it."""
    if request.scope["query_string"]:
        return None
    if request.headers.get("content-type") != "application/json":
        return None
    try:
        edge = plane.directory.of_credential(bearer_sha256(request))
    except Refusal:
        return None
    return edge if edge and request.path_params.get("edge_id") == str(edge.id) else None
