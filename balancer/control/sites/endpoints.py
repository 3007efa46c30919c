"""`/v1/sites`."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from balancer.api.sites import SiteBody, SitePage, SitePatch, SiteView
from balancer.control.authentication.dependencies import Admin, Reader
from balancer.control.http.paging import AfterName, Limit
from balancer.control.http.parts import StorePart
from balancer.control.http.preconditions import IfMatch, set_etag
from balancer.control.http.problems import refusal_responses, success_response
from balancer.control.sites import repository, service

router = APIRouter(prefix="/v1/sites", tags=["sites"])
SiteNamePath = Annotated[str, Path(max_length=63, examples=["a"])]
SAME = success_response(200, SiteView, "The very same exists already.")


@router.get("", responses=refusal_responses(401, 403))
async def list_sites(store: StorePart, _: Reader, after: AfterName = "", limit: Limit = 1000) -> SitePage:
    """List sites by name with the states of their edges, a page at a time."""
    async with store.read() as session:
        found = await repository.list_sites(session, after, limit + 1)
        items = await service.site_views(session, found[:limit])
    return SitePage(items=items, next=found[limit - 1].name if len(found) > limit else None)


@router.post("", status_code=201, responses=SAME | refusal_responses(401, 403, 409))
async def add_site(store: StorePart, by: Admin, body: SiteBody, response: Response) -> SiteView:
    """Add a site; the same again changes nothing. An edge that enrols makes its site by itself."""
    view, revision, created = await service.add_site(store, body, by)
    set_etag(response, revision)
    if not created:
        response.status_code = 200
    return view


@router.get("/{name}", responses=refusal_responses(401, 403, 404))
async def show_site(store: StorePart, _: Reader, name: SiteNamePath, response: Response) -> SiteView:
    """Show one site. Its ETag stands for what an operator says of it, not for its edges."""
    async with store.read() as session:
        record = await service.find_site(session, name)
        set_etag(response, record.revision)
        return (await service.site_views(session, [record]))[0]


@router.patch("/{name}", responses=refusal_responses(401, 403, 404, 409, 412))
async def patch_site(
    store: StorePart,
    by: Admin,
    name: SiteNamePath,
    body: SitePatch,
    response: Response,
    if_match: IfMatch = None,
) -> SiteView:
    """Change a site: its description, whether its edges have a ring."""
    view, revision = await service.patch_site(store, name, body, by.because(body.reason), if_match)
    set_etag(response, revision)
    return view


@router.delete("/{name}", status_code=204, responses=refusal_responses(401, 403, 404, 409, 412))
async def remove_site(store: StorePart, by: Admin, name: SiteNamePath, if_match: IfMatch = None) -> None:
    """Remove a site that has no edges."""
    await service.remove_site(store, name, by, if_match)
