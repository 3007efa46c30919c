"""`/v1/vips`."""

from fastapi import APIRouter, Response

from balancer.api.schemas import VipBody, VipList
from balancer.control.identity import Admin, Anyone
from balancer.control.plane import Plane
from balancer.control.vips import repository, service

router = APIRouter(prefix="/v1/vips", tags=["vips"])


@router.get("")
async def list_vips(plane: Plane, _: Anyone) -> VipList:
    """List every VIP."""
    async with plane.store.read() as session:
        return VipList(items=[service.view(record) for record in await repository.every(session)])


@router.post("", status_code=201, responses={200: {"description": "The very same exists already."}})
async def add_vip(plane: Plane, _: Admin, body: VipBody, response: Response) -> VipBody:
    """Add a VIP; the same again changes nothing."""
    if not await service.add(plane, body):
        response.status_code = 200
    return body


@router.delete("/{name}", status_code=204)
async def remove_vip(plane: Plane, _: Admin, name: str) -> None:
    """Remove a VIP that no edge serves."""
    await service.remove(plane, name)
