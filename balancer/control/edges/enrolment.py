"""Enrolment: a new edge gets an id for a one-time token; an enrolled one returns with its credential.

What it then reports beside what is accepted waits for an operator (reports.py).
"""

import base64
import hmac

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.access import Role
from balancer.api.schemas import EdgeReport, EdgeView, Enrolment, EnrolRequest
from balancer.control.access.enrolment_tokens import service as tokens
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.authentication.lookup import find_token, list_edge_tokens
from balancer.control.edges import reports
from balancer.control.edges.holder import check_holder
from balancer.control.edges.memory import EdgeMemory
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.registry import edges
from balancer.control.rules import ControlRules
from balancer.control.sites import service as sites
from balancer.control.storage.records import EdgeRecord, EnrolmentTokenRecord, VipRecord
from balancer.control.storage.store import Store
from balancer.control.table import acknowledgements
from balancer.control.table.watch import TableWatch
from balancer.control.vips import repository as vips
from balancer.control.vips.published import vip_of
from balancer.control.vips.service import vip_view
from node.state.desired_state import AdminState
from node.vip import MAXIMUM_EDGE_ID, has_locator


class EnrolmentService:
    """Enrols edges and assigns their ids."""

    def __init__(self, store: Store, rules: ControlRules, memory: EdgeMemory, watch: TableWatch) -> None:
        self._store = store
        self._rules = rules
        self._memory = memory
        self._watch = watch

    async def enrol_edge(self, presented_sha256: str, body: EnrolRequest) -> tuple[Enrolment, bool]:
        """Assign an edge its id; the second value is False if it had enrolled already."""
        async with self._store.change() as session:
            edge = await self._find_enrolled(session, body.credential_sha256)
            if created := edge is None:
                edge = await self._enrol_new(session, presented_sha256, body)
            else:
                await _check_return(session, edge, presented_sha256, body)
            check_holder(self._memory.leases, edge.id, body.instance, starts=True)
            reported = body.values()
            await reports.check_addresses(session, edge, reported, self._rules.tunnel_prefixes)
            if created:
                reports.accept_values(edge, reported)
                edge.pending = None
            else:
                reports.hold_report(session, edge, reported, self._store.now())
            session.add(edge)
            await sites.check_ring(session, edge.site)
            vip = await vips.find_by_name(session, edge.vip_name)
            assert vip is not None  # a foreign key
        return Enrolment(
            edge=self._memory.view(edge),
            vip=vip_view(vip),
            lease_seconds=self._rules.lease_seconds,
            table_key=base64.b64encode(self._watch.live.public_key).decode(),
        ), created

    async def accept_pending(
        self, edge_id: int, wanted: EdgeReport, by: Caller, if_match: str | None
    ) -> EdgeView:
        """Publish what an edge reports, if that is still what the operator has seen."""
        async with self._store.change() as session:
            edge = await edges.find_edge(session, edge_id)
            check_etag(if_match, edge)
            pending = reports.require_pending(edge)
            if pending != wanted.values():
                detail = f"another report is pending: {reports.describe_change(wanted.values(), pending)}"
                raise Refusal(409, "pending-changed", detail, field="edge_id")
            await reports.check_addresses(session, edge, pending, self._rules.tunnel_prefixes)
            change = reports.accept_values(edge, pending)
            edge.pending = None
            audit.record_change(session, self._store.now(), by, "edge.accept", edge.name, change)
            await session.flush()
        return self._memory.view(edge)

    async def refuse_pending(self, edge_id: int, by: Caller, if_match: str | None) -> None:
        """Drop what an edge reports; it is pending again when its agent reports it again."""
        async with self._store.change() as session:
            edge = await edges.find_edge(session, edge_id)
            check_etag(if_match, edge)
            change = reports.describe_change(reports.accepted_values(edge), reports.require_pending(edge))
            edge.pending = None
            audit.record_change(session, self._store.now(), by, "edge.refuse", edge.name, change)

    async def _enrol_new(
        self, session: AsyncSession, presented_sha256: str, body: EnrolRequest
    ) -> EdgeRecord:
        if await edges.was_removed(session, body.credential_sha256):
            detail = "this edge was removed: enrol with a new credential and token"
            raise Refusal(410, "edge-removed", detail, field="credential_sha256")
        token = await tokens.find_usable(session, presented_sha256, self._store.now())
        if token.edge_name is not None and token.edge_name != body.name:
            detail = "this enrolment token is for another name"
            raise Refusal(403, "enrolment-token-for-another", detail, field="name")
        if token.replaces:
            return await self._replace_credential(session, token, body)
        if await edges.find_by_name(session, body.name):
            raise Refusal(409, "edge-name-taken", f"an edge named {body.name} exists", field="name")
        now, vip = self._store.now(), await _choose_vip(session, body.vip)
        by = Caller(Role.EDGE, f"enrolment token {token.id}", why=token.note)
        await sites.ensure_site(session, now, body.site, by)
        edge = EdgeRecord(
            id=await self._allocate_id(session, vip, token.edge_id),
            name=body.name,
            site=body.site,
            vip_name=vip.name,
            credential_sha256=body.credential_sha256,
            admin_state=AdminState.ACTIVE.value,
            weight=1,
            encapsulation=self._rules.encapsulation.value,
            alive=False,
            enrolled_at=now,
        )
        token.used_at, token.used_by_sha256 = now, body.credential_sha256
        edges.add_transition(session, now, edge.id, "enrolled", body.name, by.name)
        audit.record_change(session, now, by, "edge.enrol", body.name, f"id {edge.id}")
        return edge

    async def _replace_credential(
        self, session: AsyncSession, token: EnrolmentTokenRecord, body: EnrolRequest
    ) -> EdgeRecord:
        """Give an edge whose disk is lost a new credential; the old one, and tokens in its place, end."""
        edge, now = await edges.find_by_name(session, body.name), self._store.now()
        if edge is None:
            raise Refusal(404, "no-such-edge", f"there is no edge {body.name} to re-enrol", field="name")
        if body.vip not in (None, edge.vip_name):
            raise Refusal(409, "edge-vip-fixed", f"this edge enrolled for {edge.vip_name}", field="vip")
        by = Caller(Role.EDGE, f"enrolment token {token.id}", why=token.note)
        edge.credential_sha256 = body.credential_sha256
        for other in await list_edge_tokens(session, edge.id):
            other.revoked_at = other.revoked_at or now
        token.used_at, token.used_by_sha256 = now, body.credential_sha256
        audit.record_change(session, now, by, "edge.re-enrol", edge.name, f"id {edge.id}")
        return edge

    async def _find_enrolled(self, session: AsyncSession, credential_sha256: str) -> EdgeRecord | None:
        """Find the edge by the credential that it enrolled with, or by a token that replaced it."""
        edge = await edges.find_by_credential(session, credential_sha256)
        token = None if edge else await find_token(session, credential_sha256)
        if token and token.role == Role.EDGE and token.edge_id and token.usable(self._store.now()):
            return await edges.find_by_id(session, token.edge_id)
        return edge

    async def _allocate_id(self, session: AsyncSession, vip: VipRecord, wanted: int | None) -> int:
        oldest = self._memory.acknowledgements.oldest_applied(self._watch.generation)
        await acknowledgements.note_removals(session, oldest, self._store.now())
        await session.flush()
        taken = await edges.ids_not_free(session, self._store.now() - self._rules.quarantine)
        taken |= {int(key) for kind, key in self._watch.live.entries if kind == "edge"}  # a pin may hold it
        served = vip_of(vip)
        if wanted is not None and (wanted in taken or not has_locator(served, wanted)):
            raise Refusal(409, "edge-id-taken", f"the id {wanted} is not available", field="edge_id")
        candidates = range(1, MAXIMUM_EDGE_ID + 1) if wanted is None else (wanted,)
        free = (number for number in candidates if number not in taken)
        edge_id = next((number for number in free if has_locator(served, number)), None)
        if edge_id is None:
            detail = f"all ids of the {served.locator} locators of {vip.name} are assigned or in quarantine"
            raise Refusal(409, "no-edge-id-left", detail, field="vip")
        await edges.take_id(session, edge_id)
        return edge_id


async def _check_return(
    session: AsyncSession, edge: EdgeRecord, presented_sha256: str, body: EnrolRequest
) -> None:
    """Refuse an enrolled edge that presents another token, name or VIP."""
    own = hmac.compare_digest(presented_sha256, body.credential_sha256)
    if not own and not await tokens.has_enrolled(session, presented_sha256, edge.credential_sha256):
        raise Refusal(401, "token-refused", "neither its credential nor its token", field="authorization")
    if not own and reports.accepted_values(edge) != body.values():
        detail = "a used enrolment token only repeats its enrolment: show the credential to move the edge"
        raise Refusal(401, "token-refused", detail, field="authorization")
    if edge.name != body.name:
        raise Refusal(409, "edge-name-fixed", f"this edge enrolled as {edge.name}", field="name")
    if body.vip not in (None, edge.vip_name):
        raise Refusal(409, "edge-vip-fixed", f"this edge enrolled for {edge.vip_name}", field="vip")


async def _choose_vip(session: AsyncSession, name: str | None) -> VipRecord:
    every = {vip.name: vip for vip in await vips.list_all(session)}
    if name is None and len(every) == 1:
        return next(iter(every.values()))
    if not every:
        raise Refusal(409, "no-vip", "add a VIP before edges enrol", field="vip")
    if name is None:
        raise Refusal(422, "vip-missing", f"name one of the VIPs: {', '.join(every)}", field="vip")
    if name not in every:
        raise Refusal(422, "no-such-vip", f"there is no VIP {name}", field="vip")
    return every[name]
