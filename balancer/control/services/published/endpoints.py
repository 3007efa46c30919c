"""`/v1/published-services`: what an edge serves. The generation is the ETag, `wait` makes it a long poll."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from balancer.api.services import PublishedView
from balancer.api.shield import ShieldSitesView
from balancer.control.authentication.caller import Caller
from balancer.control.authentication.dependencies import Edge
from balancer.control.authentication.edge_route import EdgeRoute
from balancer.control.http.long_poll import NOT_MODIFIED, POLL_QUERY, Since, Wait, parse_etag
from balancer.control.http.parts import find_part, provide_part
from balancer.control.http.problems import refusal_responses, success_response
from balancer.control.registry.directory import EdgeDirectory
from balancer.control.services.published.publication import ServicePublication
from balancer.control.services.published.shield_sites import ShieldCatalogue

router = APIRouter(prefix="/v1/published-services", tags=["services"])
polls = APIRouter(prefix="/v1/published-services", tags=["services"])
ShieldPart = Annotated[ShieldCatalogue, Depends(provide_part(ShieldCatalogue))]
PublicationPart = Annotated[ServicePublication, Depends(provide_part(ServicePublication))]
DirectoryPart = Annotated[EdgeDirectory, Depends(provide_part(EdgeDirectory))]
ANSWERS: dict[int | str, Any] = success_response(200, PublishedView, "The services.") | NOT_MODIFIED


async def get_published_services(
    publication: PublicationPart,
    directory: DirectoryPart,
    by: Edge,
    wait: Wait = 0,
    since: Since = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Get the services that this edge serves, with their secrets, signed. With `since` only what changed."""
    known, live = parse_etag(if_none_match), publication.live
    if known == live.generation:
        await publication.waiters.wait(wait)
    headers = {"ETag": f'"{live.generation}"', "Cache-Control": "no-store"}
    if known == live.generation:
        return Response(status_code=304, headers=headers)
    edge = directory.get(by.edge_id or 0)
    candidates = live.select_candidates(edge.id, edge.site) if edge else frozenset()
    return Response(live.body(candidates, since), media_type="application/json", headers=headers)


class PublishedServicesRoute(EdgeRoute):
    """Answers the long polls of edges."""

    async def answer_edge(self, request: Request, edge: Caller) -> Response | None:
        query = POLL_QUERY.parse(request.scope["query_string"])
        if query is None:
            return None
        app, tag = request.app, request.headers.get("if-none-match")
        publication, directory = find_part(app, ServicePublication), find_part(app, EdgeDirectory)
        return await get_published_services(publication, directory, edge, **query, if_none_match=tag)


polls.add_api_route(
    "",
    get_published_services,
    responses=ANSWERS | refusal_responses(401, 403, 410),
    route_class_override=PublishedServicesRoute,
)


@router.get("/shield", responses=refusal_responses(401, 403, 410))
async def get_shield_sites(catalogue: ShieldPart, _: Edge, response: Response) -> ShieldSitesView:
    """Get the edges that shield services, and the secret by which edges know each other."""
    response.headers["Cache-Control"] = "no-store"
    return catalogue.current_sites()
