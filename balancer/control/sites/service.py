"""The rules for sites: an edge that enrols makes its site; one with edges cannot be removed."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.sites import SiteBody, SitePatch, SiteView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.registry.table_state import table_state
from balancer.control.sites import repository
from balancer.control.storage.records import SiteRecord
from balancer.control.storage.store import Store
from balancer.model.table import EdgeState

NEW_SEEDS = "new ring seeds"  # of a change: the sites whose rings get one when it is published


async def site_views(session: AsyncSession, found: Sequence[SiteRecord]) -> list[SiteView]:
    """Show sites with the states of their edges."""
    rows = await repository.edge_states(session, [site.name for site in found])
    states = Counter((site, table_state(wanted, alive)) for site, wanted, alive in rows)
    return [_site_view(site, {state: states[site.name, state] for state in EdgeState}) for site in found]


def _site_view(site: SiteRecord, states: dict[EdgeState, int]) -> SiteView:
    return SiteView(
        name=site.name,
        description=site.description,
        ring=site.ring,
        edges=sum(states.values()),
        up=states[EdgeState.UP],
        draining=states[EdgeState.DRAINING],
        down=states[EdgeState.DOWN],
    )


async def ensure_site(session: AsyncSession, now: datetime, name: str, by: Caller) -> None:
    """Create the site that an edge names, if it does not exist."""
    if await repository.find_by_name(session, name) is None:
        session.add(SiteRecord(name=name, description="", ring=False))
        audit.record_change(session, now, by, "site.add", name)
        await session.flush()


async def check_ring(session: AsyncSession, name: str) -> None:
    """Refuse a ring over edges of several VIPs: each would get first subflows of a VIP that it does not serve."""
    await session.flush()
    record = await find_site(session, name)
    if record.ring and len(found := await repository.vips_of(session, name)) > 1:
        detail = f"a ring needs edges of one VIP, and {name} has edges of {', '.join(sorted(found))}"
        raise Refusal(409, "ring-of-several-vips", detail, field="site")


async def add_site(store: Store, body: SiteBody, by: Caller) -> tuple[SiteView, int, bool]:
    """Add a site; the last value is False where the very same exists already. The second is its revision."""
    async with store.change() as session:
        record = await repository.find_by_name(session, body.name)
        if record and (record.description, record.ring) != (body.description, body.ring):
            raise Refusal(409, "site-name-taken", f"{body.name} exists with other values", field="name")
        if created := record is None:
            record = SiteRecord(name=body.name, description=body.description, ring=body.ring)
            session.add(record)
            audit.record_change(session, store.now(), by, "site.add", body.name)
            await session.flush()
        return (await site_views(session, [record]))[0], record.revision, created


async def patch_site(
    store: Store, name: str, body: SitePatch, by: Caller, if_match: str | None
) -> tuple[SiteView, int]:
    """Change a site; returns it with its revision."""
    async with store.change() as session:
        record = await find_site(session, name)
        check_etag(if_match, record)
        now = store.now()
        if body.description is not None and record.description != body.description:
            record.description = body.description
            audit.record_change(session, now, by, "site.describe", name, body.description)
        if body.ring is not None and record.ring != body.ring:
            record.ring = body.ring
            audit.record_change(session, now, by, "site.ring", name, "on" if body.ring else "off")
            await check_ring(session, name)
        if body.new_seed:
            if not record.ring:
                raise Refusal(409, "no-ring", f"{name} has no ring, so no seed", field="new_seed")
            session.info.setdefault(NEW_SEEDS, set()).add(name)
            audit.record_change(session, now, by, "site.new-seed", name)
        await session.flush()
        return (await site_views(session, [record]))[0], record.revision


async def remove_site(store: Store, name: str, by: Caller, if_match: str | None) -> None:
    """Remove a site without edges."""
    async with store.change() as session:
        record = await find_site(session, name)
        check_etag(if_match, record)
        if await repository.in_use(session, name):
            raise Refusal(409, "site-in-use", "it has edges: remove or move them first", field="name")
        await session.delete(record)
        audit.record_change(session, store.now(), by, "site.remove", name)


async def find_site(session: AsyncSession, name: str) -> SiteRecord:
    record = await repository.find_by_name(session, name)
    if record is None:
        raise Refusal(404, "no-such-site", f"there is no site {name}", field="name")
    return record
