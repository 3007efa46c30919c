"""The rules for edges: enrolment and ids, what the operator wants, leases and their transitions."""

import asyncio
import base64
import hmac
from collections.abc import Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.access import Role
from balancer.api.health import WithdrawalGrant
from balancer.api.schemas import (
    AdminState,
    EdgePatch,
    EdgeView,
    Enrolment,
    EnrolRequest,
    LeaseGrant,
    LeaseRequest,
)
from balancer.control.access.enrolment_tokens import service as tokens
from balancer.control.access.identity import Identity
from balancer.control.access.tokens import repository as named_tokens
from balancer.control.audit import service as audit
from balancer.control.edges import repository
from balancer.control.edges.directory import EdgeSnapshot
from balancer.control.edges.state import table_state
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.plane import ControlPlane
from balancer.control.sites import service as sites
from balancer.control.storage.records import EdgeRecord, VipRecord
from balancer.control.table import acknowledgements
from balancer.control.vips import repository as vips
from balancer.control.vips.published import vip_of
from balancer.control.vips.service import vip_view as vip_view
from balancer.model.place import has_locator
from balancer.model.table import MAXIMUM_EDGE_ID

HEARTBEATS_PER_TURN = (
    100  # heartbeats of other instances that are taken in before our own edges are answered again
)


def edge_view(plane: ControlPlane, edge: EdgeRecord) -> EdgeView:
    """Show an edge."""
    return EdgeView.model_validate(
        {
            "id": edge.id,
            "name": edge.name,
            "site": edge.site,
            "tunnel_v4": edge.tunnel_v4,
            "tunnel_v6": edge.tunnel_v6,
            "vip": edge.vip_name,
            "weight": edge.weight,
            "encapsulation": edge.encapsulation,
            "admin_state": edge.admin_state,
            "state": table_state(edge.admin_state, edge.alive),
            "enrolled_at": edge.enrolled_at,
            "health": plane.health.view(edge.id),
            "lease": plane.leases.view(edge.id, granted=edge.id in plane.grants.holders()),
        }
    )


async def enrol_edge(plane: ControlPlane, shown_sha256: str, body: EnrolRequest) -> tuple[Enrolment, bool]:
    """Give an edge its id; the second value is False where it had enrolled already."""
    async with plane.store.change() as session:
        edge = await _find_enrolled(plane, session, body.credential_sha256)
        if created := edge is None:
            edge = await _enrol_new(plane, session, shown_sha256, body)
        else:
            await _check_return(session, edge, shown_sha256, body)
        await _set_addresses(session, edge, body)
        await sites.check_ring(session, edge.site)
        vip = await vips.find_by_name(session, edge.vip_name)
        assert vip is not None  # a foreign key
    return Enrolment(
        edge=edge_view(plane, edge),
        vip=vip_view(vip),
        lease_seconds=plane.rules.lease_seconds,
        table_key=base64.b64encode(plane.table_key).decode(),
    ), created


async def _enrol_new(
    plane: ControlPlane, session: AsyncSession, shown_sha256: str, body: EnrolRequest
) -> EdgeRecord:
    if await repository.was_removed(session, body.credential_sha256):
        raise Refusal(
            410,
            "edge-removed",
            "this edge was removed: enrol with a new credential and token",
            field="credential_sha256",
        )
    token = await tokens.find_usable(plane, session, shown_sha256)
    if token.edge_name is not None and token.edge_name != body.name:
        raise Refusal(
            403, "enrolment-token-for-another", "this enrolment token is for another name", field="name"
        )
    if await repository.find_by_name(session, body.name):
        raise Refusal(409, "edge-name-taken", f"an edge named {body.name} exists", field="name")
    now, vip = plane.clock.now(), await _choose_vip(session, body.vip)
    by = Identity(Role.EDGE, f"enrolment token {token.id}", why=token.note)
    await sites.ensure_site(session, now, body.site, by)
    edge = EdgeRecord(
        id=await _allocate_id(plane, session, vip, token.edge_id),
        name=body.name,
        site=body.site,
        vip_name=vip.name,
        credential_sha256=body.credential_sha256,
        admin_state=AdminState.ACTIVE.value,
        weight=1,
        encapsulation=plane.rules.encapsulation.value,
        alive=False,
        enrolled_at=now,
    )
    token.used_at, token.used_by_sha256 = now, body.credential_sha256
    repository.add_transition(session, now, edge.id, "enrolled", body.name, by.name)
    audit.record_change(session, now, by, "edge.enrol", body.name, f"id {edge.id}")
    return edge


async def _find_enrolled(
    plane: ControlPlane, session: AsyncSession, credential_sha256: str
) -> EdgeRecord | None:
    """Find the edge by the credential that it enrolled with, or by a token that replaced it."""
    edge = await repository.find_by_credential(session, credential_sha256)
    token = None if edge else await named_tokens.find_by_hash(session, credential_sha256)
    if token and token.role == Role.EDGE and token.edge_id and token.usable(plane.clock.now()):
        return await repository.find_by_id(session, token.edge_id)
    return edge


async def _check_return(
    session: AsyncSession, edge: EdgeRecord, shown_sha256: str, body: EnrolRequest
) -> None:
    own = hmac.compare_digest(shown_sha256, body.credential_sha256)
    if not own and not await tokens.has_enrolled(session, shown_sha256, edge.credential_sha256):
        raise Refusal(401, "token-refused", "neither its credential nor its token", field="authorization")
    if edge.name != body.name:
        raise Refusal(409, "edge-name-fixed", f"this edge enrolled as {edge.name}", field="name")
    if body.vip not in (None, edge.vip_name):
        raise Refusal(409, "edge-vip-fixed", f"this edge enrolled for {edge.vip_name}", field="vip")


async def _set_addresses(session: AsyncSession, edge: EdgeRecord, body: EnrolRequest) -> None:
    """Set where the edge is: it may come back with other addresses, but not with another edge's.

    Its site is the one it enrolled with, until an operator says another.
    """
    for field in ("tunnel_v4", "tunnel_v6"):
        value = getattr(body, field)
        address = str(value) if value else None
        with session.no_autoflush:
            other = await repository.find_by_tunnel(session, field, address) if address else None
        if other and other.id != edge.id:
            raise Refusal(409, "tunnel-address-taken", f"the edge {other.name} has this address", field=field)
        if getattr(edge, field) != address:
            setattr(edge, field, address)
    session.add(edge)


async def _choose_vip(session: AsyncSession, name: str | None) -> VipRecord:
    every = {vip.name: vip for vip in await vips.list_all(session)}
    if name is None and len(every) == 1:
        return next(iter(every.values()))
    if not every:
        raise Refusal(409, "no-vip", "add a VIP before edges enrol", field="vip")
    if name is None:
        raise Refusal(422, "vip-missing", f"say which VIP: {', '.join(every)}", field="vip")
    if name not in every:
        raise Refusal(422, "no-such-vip", f"there is no VIP {name}", field="vip")
    return every[name]


async def _allocate_id(plane: ControlPlane, session: AsyncSession, vip: VipRecord, wanted: int | None) -> int:
    await acknowledgements.note_removals(plane, session)
    await session.flush()
    taken = await repository.ids_not_free(session, plane.clock.now() - plane.rules.quarantine)
    taken |= {int(key) for kind, key in plane.watch.live.entries if kind == "edge"}  # a pin may hold it
    served = vip_of(vip)
    if wanted is not None and (wanted in taken or not has_locator(served, wanted)):
        raise Refusal(409, "edge-id-taken", f"the id {wanted} is not to be had", field="edge_id")
    candidates = range(1, MAXIMUM_EDGE_ID + 1) if wanted is None else (wanted,)
    free = (number for number in candidates if number not in taken)
    edge_id = next((number for number in free if has_locator(served, number)), None)
    if edge_id is None:
        detail = (
            f"all ids that the {served.locator} locators of {vip.name} can carry are held or in quarantine"
        )
        raise Refusal(409, "no-edge-id-left", detail, field="vip")
    await repository.take_id(session, edge_id)
    return edge_id


async def list_edges(plane: ControlPlane, after: int, limit: int) -> tuple[list[EdgeView], int | None]:
    """List edges by id, and where the next page starts."""
    async with plane.store.read() as session:
        found = await repository.list_page(session, after, limit + 1)
    return [edge_view(plane, edge) for edge in found[:limit]], found[limit - 1].id if len(
        found
    ) > limit else None


async def show_edge(plane: ControlPlane, edge_id: int) -> tuple[EdgeView, int]:
    """Show one edge, and its revision."""
    async with plane.store.read() as session:
        edge = await find_edge(session, edge_id)
    return edge_view(plane, edge), edge.revision


async def patch_edge(
    plane: ControlPlane, edge_id: int, body: EdgePatch, by: Identity, if_match: str | None
) -> tuple[EdgeView, int]:
    """Change what is wanted of an edge; returns it with its revision."""
    async with plane.store.change() as session:
        edge, now = await find_edge(session, edge_id), plane.clock.now()
        check_etag(if_match, edge)
        if body.site is not None and body.site != edge.site:
            await sites.ensure_site(session, now, body.site, by)
            audit.record_change(session, now, by, "edge.site", edge.name, f"{edge.site} -> {body.site}")
            edge.site = body.site
            await sites.check_ring(session, body.site)
        for field in ("weight", "encapsulation"):
            value = getattr(body, field)
            if value is not None and value != getattr(edge, field):
                audit.record_change(
                    session, now, by, f"edge.{field}", edge.name, f"{getattr(edge, field)} -> {value}"
                )
                setattr(edge, field, value)
        if body.admin_state is not None and body.admin_state != edge.admin_state:
            wanted = body.admin_state.value
            repository.add_transition(session, now, edge_id, "admin-state", wanted, by.name)
            audit.record_change(
                session, now, by, "edge.admin-state", edge.name, f"{edge.admin_state} -> {wanted}"
            )
            edge.admin_state = wanted
        await session.flush()
    return edge_view(plane, edge), edge.revision


async def remove_edge(plane: ControlPlane, edge_id: int, by: Identity, if_match: str | None) -> None:
    """Remove an edge; its id goes into quarantine."""
    async with plane.store.change() as session:
        edge, now = await find_edge(session, edge_id), plane.clock.now()
        check_etag(if_match, edge)
        await repository.free_id(session, edge, now)
        repository.add_transition(session, now, edge_id, "removed", edge.name, by.name)
        audit.record_change(session, now, by, "edge.remove", edge.name, f"id {edge_id}")
    forget_edge(plane, edge_id)


async def renew_lease(plane: ControlPlane, edge_id: int, body: LeaseRequest) -> LeaseGrant:
    """Renew a lease; writes only when the edge comes up or goes down by it."""
    edge, active = await _find_edge(plane, edge_id, everybody=body.withdraw)
    if plane.sharing:
        if not plane.sharing.works:
            raise Refusal(
                503,
                "leases-not-shared",
                "the database does not answer: try another instance",
                field="database",
            )
        plane.sharing.note(edge_id, body)
    _record_heartbeat(plane, edge_id, body)
    if edge.alive != plane.health.is_alive(edge_id):
        await plane.settling.settle({edge_id: "; ".join(body.reasons) or f"health {body.health}"})
    return LeaseGrant(
        lease_seconds=plane.rules.lease_seconds,
        admin_state=AdminState(edge.admin_state),
        generation=plane.watch.generation,
        newest_purge=plane.newest_purge,
        newest_fast_open_key=plane.newest_fast_open_key,
        may_announce=body.announcing or plane.acknowledgements.is_held(edge_id, plane.watch.current),
        grant=_withdrawal_grant(plane, edge_id, body, active),
    )


async def _find_edge(
    plane: ControlPlane, edge_id: int, *, everybody: bool
) -> tuple[EdgeRecord | EdgeSnapshot, Collection[int]]:
    """The edge, and where that matters who is wanted in service; from memory unless it is very new."""
    if known := plane.directory.get(edge_id):
        return known, plane.directory.active_ids() if everybody else ()
    async with plane.store.read() as session:
        return await find_edge(session, edge_id), await repository.active_ids(session) if everybody else ()


def _record_heartbeat(plane: ControlPlane, edge_id: int, body: LeaseRequest, age: float = 0.0) -> None:
    plane.leases.renew(edge_id, body, age)
    plane.health.heard(edge_id, body)
    plane.acknowledgements.note(edge_id, body.applied_generation)


async def exchange_heartbeats(plane: ControlPlane) -> None:
    """Tell the other instances what was heard here, and hear what they did."""
    if plane.sharing is None:
        return
    async with plane.store.read() as session:
        for number, (edge_id, age, heartbeat) in enumerate(await plane.sharing.exchange(session)):
            if age < plane.rules.lease_seconds:
                _record_heartbeat(plane, edge_id, heartbeat, age)
            if number % HEARTBEATS_PER_TURN == HEARTBEATS_PER_TURN - 1:
                await asyncio.sleep(0)
    await plane.sharing.try_to_lead()


def _withdrawal_grant(
    plane: ControlPlane, edge_id: int, body: LeaseRequest, active: Collection[int]
) -> WithdrawalGrant | None:
    if not body.withdraw:
        plane.grants.give_back(edge_id)
        return None
    may_give = plane.sharing is None or plane.sharing.leads
    given = may_give and plane.grants.ask(edge_id, active)
    return WithdrawalGrant(seconds=plane.grants.seconds) if given else None


async def sweep_leases(plane: ControlPlane) -> None:
    """Take down the edges whose leases have ended and that no peer reaches."""
    for edge_id in plane.leases.drop_expired():
        plane.health.fell_silent(edge_id)
        plane.acknowledgements.forget(edge_id)
    if gone := plane.health.given_up():
        await plane.settling.settle(dict.fromkeys(gone, "lease lost"))


async def persist_liveness(plane: ControlPlane, why: Mapping[int, str]) -> None:
    """Make what is stored agree with what is so once we may write."""
    async with plane.store.change() as session:
        found, now = await repository.find_by_ids(session, sorted(why)), plane.clock.now()
        for edge_id, reason in why.items():
            edge, alive = found.get(edge_id), plane.health.is_alive(edge_id)
            if edge is None:
                forget_edge(plane, edge_id)
            elif edge.alive != alive:
                edge.alive = alive
                repository.add_transition(session, now, edge_id, "up" if alive else "down", reason, "lease")


def forget_edge(plane: ControlPlane, edge_id: int) -> None:
    """Drop all that memory holds of an edge that is no more."""
    plane.leases.forget(edge_id)
    plane.health.forget(edge_id)
    plane.acknowledgements.forget(edge_id)
    plane.grants.give_back(edge_id)


async def find_edge(session: AsyncSession, edge_id: int) -> EdgeRecord:
    edge = await repository.find_by_id(session, edge_id)
    if edge is None:
        raise Refusal(404, "no-such-edge", f"there is no edge {edge_id}", field="edge_id")
    return edge
