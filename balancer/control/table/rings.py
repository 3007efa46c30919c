"""The rings of sites as they are published: from the edges' weights and states, with one step of history.

An edge that accepts no first subflows has weight 0, and forwards those that others own. If no edge of a site accepts
any, weights stay as the operator set them: packets of established connections must still find their edge.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.registry import edges
from balancer.control.registry.table_state import table_state
from balancer.control.sites import repository as sites
from balancer.control.sites.service import NEW_SEEDS
from balancer.control.storage.records import EdgeRecord, SiteRecord
from balancer.control.table.changes import Entry, Key
from balancer.model.table import EdgeState, Member, Site

Published = Mapping[Key, Entry]
SEED_BYTES = 8


def requested_seeds(session: AsyncSession) -> frozenset[str]:
    """Return the sites whose rings get a new seed in this change."""
    return frozenset(session.info.get(NEW_SEEDS, ()))


def published_members(nominal: Iterable[Member], taking: Collection[int]) -> tuple[Member, ...]:
    """Return the list as published, in which only the edges in `taking` own first subflows."""
    usual = tuple(sorted(nominal, key=lambda member: member.id))
    if not any(member.weight for member in usual):
        usual = tuple(replace(member, weight=1) for member in usual)
    now = tuple(member if member.id in taking else replace(member, weight=0) for member in usual)
    return now if any(member.weight for member in now) else usual


def next_ring(
    name: str, current: tuple[Member, ...], before: Entry | None, *, new_seed: bool = False
) -> Site | None:
    """Return the ring after the published one; previous owners of a bucket keep the connections that began there.

    The seed is drawn with the ring, and anew on request: a change of members alone must not move other flows.
    """
    if not current:
        return None
    if not isinstance(before, Site):
        seed = draw_seed()
        return Site(name, current, (), seed, seed)
    if before.current == current and not new_seed:
        return before
    return Site(name, current, before.current, draw_seed() if new_seed else before.seed, before.seed)


def draw_seed() -> str:
    """Return a new secret of a site."""
    return secrets.token_hex(SEED_BYTES)


def affected_sites(touched: Iterable[object], published: Published) -> set[str]:
    """Return the sites whose rings a change may affect, including those that an edge has left."""
    records = [record for record in touched if isinstance(record, EdgeRecord | SiteRecord)]
    names = {record.site if isinstance(record, EdgeRecord) else record.name for record in records}
    ids = {record.id for record in records if isinstance(record, EdgeRecord)}
    for entry in published.values():
        if isinstance(entry, Site) and any(member.id in ids for member in entry.current):
            names.add(entry.name)
    return names


async def stored_rings(
    session: AsyncSession, names: Collection[str] | None, published: Published
) -> dict[Key, Entry | None]:
    """Return the rings of these sites (None: of all) from the stored edges."""
    nominal: dict[str, list[Member]] = defaultdict(list)
    taking: set[int] = set()
    for site, edge_id, weight, admin_state, alive in await sites.ring_members(session, names):
        nominal[site].append(Member(edge_id, weight))
        if table_state(admin_state, alive) is EdgeState.UP:
            taking.add(edge_id)
    return {
        ("site", name): next_ring(
            name,
            published_members(nominal.get(name, ()), taking),
            published.get(("site", name)),
            new_seed=name in requested_seeds(session),
        )
        for name in (nominal if names is None else names)
    }


async def pinned_rings(
    session: AsyncSession, names: Collection[str] | None, published: Published, pinned: Published
) -> dict[Key, Entry | None]:
    """Return the rings under a pin: as pinned, except that dead edges own nothing."""
    found = [entry for entry in pinned.values() if isinstance(entry, Site)]
    rings = {site.name: site for site in found if names is None or site.name in names}
    ids = [member.id for site in rings.values() for member in site.current]
    alive = {edge_id for edge_id, edge in (await edges.find_by_ids(session, ids)).items() if edge.alive}
    return {
        ("site", name): next_ring(
            name,
            published_members(site.current, alive),
            published.get(("site", name)),
            new_seed=name in requested_seeds(session),
        )
        for name, site in rings.items()
    }
