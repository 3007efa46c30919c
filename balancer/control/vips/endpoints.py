"""`/v1/vips`."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from balancer.api.schemas import VipBody, VipPage
from balancer.control.authentication.dependencies import Admin, Anyone
from balancer.control.http.paging import AfterName, Limit
from balancer.control.http.parts import StorePart
from balancer.control.http.preconditions import IfMatch, set_etag
from balancer.control.http.problems import refusal_responses, success_response
from balancer.control.vips import repository, service

router = APIRouter(prefix="/v1/vips", tags=["vips"])
VipName = Annotated[str, Path(max_length=63, examples=["main"])]
SAME = success_response(200, VipBody, "The very same exists already.")


@router.get("", responses=refusal_responses(401))
async def list_vips(store: StorePart, _: Anyone, after: AfterName = "", limit: Limit = 1000) -> VipPage:
    """List VIPs by name, a page at a time."""
    async with store.read() as session:
        found = await repository.list_page(session, after, limit + 1)
    following = found[limit - 1].name if len(found) > limit else None
    return VipPage(items=[service.vip_view(each) for each in found[:limit]], next=following)


@router.get("/{name}", responses=refusal_responses(401, 404))
async def show_vip(store: StorePart, _: Anyone, name: VipName, response: Response) -> VipBody:
    """Show one VIP."""
    async with store.read() as session:
        record = await service.find_vip(session, name)
    set_etag(response, record.revision)
    return service.vip_view(record)


@router.post("", status_code=201, responses=SAME | refusal_responses(401, 403, 409))
async def add_vip(store: StorePart, by: Admin, body: VipBody, response: Response) -> VipBody:
    """Add a VIP; the same again changes nothing, and nothing changes it while it exists."""
    revision, created = await service.add_vip(store, body, by)
    set_etag(response, revision)
    if not created:
        response.status_code = 200
    return body


@router.delete("/{name}", status_code=204, responses=refusal_responses(401, 403, 404, 409, 412))
async def remove_vip(store: StorePart, by: Admin, name: VipName, if_match: IfMatch = None) -> None:
    """Remove a VIP that no edge serves."""
    await service.remove_vip(store, name, by, if_match)
