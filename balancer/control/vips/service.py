"""The rules for VIPs: a name and an address belong to one VIP, which never changes while it exists."""

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.schemas import VipBody
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.registry import edges
from balancer.control.storage.records import VipRecord
from balancer.control.storage.store import Store
from balancer.control.vips import repository
from balancer.control.vips.published import vip_of
from balancer.model.place import Places, locators_overlap
from balancer.model.reference.packet import mapped_address


def vip_view(record: VipRecord) -> VipBody:
    """Show a stored VIP."""
    return VipBody.model_validate(
        {
            field: getattr(record, field)
            for field in VipBody.model_fields
            if getattr(record, field) is not None
        }
    )


async def add_vip(store: Store, body: VipBody, by: Caller) -> tuple[int, bool]:
    """Add a VIP; returns its revision, and False where the very same exists already."""
    wanted = body.model_dump(mode="json")
    async with store.change() as session:
        record = await repository.find_by_name(session, body.name)
        if record and vip_view(record) == body:
            return record.revision, False
        if record:
            raise Refusal(409, "vip-name-taken", f"{body.name} exists with other values", field="name")
        other = await repository.find_by_address(session, wanted["v4"], wanted["v6"])
        if other:
            field = "v4" if other.v4 and other.v4 == wanted["v4"] else "v6"
            raise Refusal(409, "vip-address-taken", f"the VIP {other.name} has this address", field=field)
        record = VipRecord(**wanted)
        for known in await repository.list_all(session):
            if locators_overlap(vip_of(known), vip_of(record)):
                detail = f"an address of the VIP {known.name} would be a locator too: take another prefix"
                raise Refusal(409, "vip-prefix-taken", detail, field="v4" if record.v4 else "v6")
        places = Places.of((vip_of(record),))
        for name, address in await edges.tunnel_addresses(session):
            if places.find(mapped_address(address)):
                detail = (
                    f"{address}, the tunnel address of {name}, is among the VIP's addresses: take another"
                )
                raise Refusal(409, "vip-address-taken", detail, field="v4" if ":" not in address else "v6")
        session.add(record)
        audit.record_change(session, store.now(), by, "vip.add", body.name, str(body.v4 or body.v6))
        await session.flush()
    return record.revision, True


async def remove_vip(store: Store, name: str, by: Caller, if_match: str | None) -> None:
    """Remove a VIP that no edge serves."""
    async with store.change() as session:
        record = await find_vip(session, name)
        check_etag(if_match, record)
        if await edges.vip_in_use(session, name):
            raise Refusal(409, "vip-in-use", "edges serve it: remove them first", field="name")
        await session.delete(record)
        audit.record_change(session, store.now(), by, "vip.remove", name)


async def find_vip(session: AsyncSession, name: str) -> VipRecord:
    """Find a VIP, or refuse."""
    record = await repository.find_by_name(session, name)
    if record is None:
        raise Refusal(404, "no-such-vip", f"there is no VIP {name}", field="name")
    return record
