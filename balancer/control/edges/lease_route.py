"""The route of heartbeats, which are nearly all requests: a plain one bypasses FastAPI's validation and dependencies.

Anything else (an operator, an invalid body, another edge's token) takes the regular route, which refuses it with its
reasons. Both end in `HeartbeatService.renew_lease`.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from balancer.api.schemas import LeaseRequest
from balancer.control.authentication.dependencies import bearer_sha256
from balancer.control.edges.heartbeats import HeartbeatService
from balancer.control.http.parts import find_part
from balancer.control.http.problems import Refusal
from balancer.control.registry.directory import EdgeDirectory, EdgeSnapshot


class LeaseRoute(APIRoute):
    """A route that tries the fast path first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            heartbeats = find_part(request.app, HeartbeatService)
            edge = _find_sender(heartbeats.directory, request)
            if edge is None:
                return await usual(request)
            try:
                body = LeaseRequest.model_validate_json(await request.body())
            except ValidationError:
                return await usual(request)
            grant = await heartbeats.renew_lease(edge.id, body)
            return Response(grant.model_dump_json(), media_type="application/json")

        return handle


def _find_sender(directory: EdgeDirectory, request: Request) -> EdgeSnapshot | None:
    """Return the sender if it is a known edge and the request is about itself."""
    if request.scope["query_string"]:
        return None
    if request.headers.get("content-type") != "application/json":
        return None
    try:
        edge = directory.of_credential(bearer_sha256(request))
    except Refusal:
        return None
    return edge if edge and request.path_params.get("edge_id") == str(edge.id) else None
