"""The rules for VIPs: a name and an address belong to one VIP, which never changes while it exists."""

from balancer.api.schemas import VipBody
from balancer.control.edges import repository as edges
from balancer.control.plane import ControlPlane
from balancer.control.problems import Refusal
from balancer.control.records import VipRecord
from balancer.control.vips import repository


def view(record: VipRecord) -> VipBody:
    """Show a stored VIP."""
    return VipBody.model_validate(
        {
            field: getattr(record, field)
            for field in VipBody.model_fields
            if getattr(record, field) is not None
        }
    )


async def add(plane: ControlPlane, body: VipBody) -> bool:
    """Add a VIP; False where the very same exists already."""
    wanted = body.model_dump(mode="json")
    async with plane.store.change() as session:
        existing = await repository.by_name(session, body.name)
        if existing and view(existing) == body:
            return False
        if existing:
            raise Refusal(409, "vip-name-taken", f"{body.name} exists with other values", field="name")
        other = await repository.by_address(session, wanted["v4"], wanted["v6"])
        if other:
            field = "v4" if other.v4 and other.v4 == wanted["v4"] else "v6"
            raise Refusal(409, "vip-address-taken", f"the VIP {other.name} has this address", field=field)
        session.add(VipRecord(**wanted))
    return True


async def remove(plane: ControlPlane, name: str) -> None:
    """Remove a VIP that no edge serves."""
    async with plane.store.change() as session:
        record = await repository.by_name(session, name)
        if record is None:
            raise Refusal(404, "no-such-vip", f"there is no VIP {name}", field="name")
        if await edges.vip_in_use(session, name):
            raise Refusal(409, "vip-in-use", "edges serve it: remove them first", field="name")
        await session.delete(record)
