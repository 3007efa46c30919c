"""The route of heartbeats, which are nearly all requests."""

from fastapi import Request, Response
from pydantic import ValidationError

from balancer.api.schemas import LeaseRequest
from balancer.control.authentication.caller import Caller
from balancer.control.authentication.edge_route import EdgeRoute
from balancer.control.edges.heartbeats import HeartbeatService
from balancer.control.http.parts import find_part


class LeaseRoute(EdgeRoute):
    """Renews the lease of an edge that sends a valid heartbeat about itself."""

    async def answer_edge(self, request: Request, edge: Caller) -> Response | None:
        if request.scope["query_string"] or request.path_params.get("edge_id") != str(edge.edge_id):
            return None
        if edge.edge_id is None or request.headers.get("content-type") != "application/json":
            return None
        try:
            body = LeaseRequest.model_validate_json(await request.body())
        except ValidationError:
            return None
        grant = await find_part(request.app, HeartbeatService).renew_lease(edge.edge_id, body)
        return Response(grant.model_dump_json(), media_type="application/json")
