"""The route of heartbeats, which are nearly all requests: a plain one bypasses FastAPI's validation and dependencies.

Anything else (an operator, an invalid body, another edge's token) takes the regular route, which refuses it with its
reasons. Both end in `service.heartbeat`.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from balancer.api.schemas import LeaseRequest
from balancer.control.access.identity import bearer_sha256
from balancer.control.edges import service
from balancer.control.edges.directory import EdgeSnapshot
from balancer.control.http.problems import Refusal
from balancer.control.plane import ControlPlane


class LeaseRoute(APIRoute):
    """A route that tries the fast path first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            plane: ControlPlane = request.app.state.plane
            edge = _find_sender(plane, request)
            if edge is None:
                return await usual(request)
            try:
                body = LeaseRequest.model_validate_json(await request.body())
            except ValidationError:
                return await usual(request)
            grant = await service.renew_lease(plane, edge.id, body)
            return Response(grant.model_dump_json(), media_type="application/json")

        return handle


def _find_sender(plane: ControlPlane, request: Request) -> EdgeSnapshot | None:
    """Return the sender if it is a known edge and the request is about itself."""
    if request.scope["query_string"]:
        return None
    if request.headers.get("content-type") != "application/json":
        return None
    try:
        edge = plane.directory.of_credential(bearer_sha256(request))
    except Refusal:
        return None
    return edge if edge and request.path_params.get("edge_id") == str(edge.id) else None
