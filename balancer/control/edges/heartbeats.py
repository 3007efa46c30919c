"""Heartbeats: renew leases, answer with what the edge must know, store only changes of liveness."""

import asyncio
from collections.abc import Collection, Mapping

from balancer.api.health import WithdrawalGrant
from balancer.api.schemas import LeaseGrant, LeaseRequest
from balancer.control.edges.holder import check_holder
from balancer.control.edges.memory import EdgeMemory
from balancer.control.edges.write_coalescer import WriteCoalescer
from balancer.control.health.lease_sharing import LeaseSharing
from balancer.control.http.problems import Refusal
from balancer.control.newest import NewestIds
from balancer.control.registry import edges
from balancer.control.registry.directory import EdgeDirectory, EdgeSnapshot
from balancer.control.services.rollout.engine import RolloutEngine
from balancer.control.storage.records import EdgeRecord
from balancer.control.storage.store import Store
from balancer.control.table.watch import TableWatch
from node.state.desired_state import AdminState

HEARTBEATS_PER_TURN = 100  # of other instances, recorded before the event loop serves requests again


class HeartbeatService:
    """Answers heartbeats from memory, and takes down edges whose leases end."""

    def __init__(
        self,
        store: Store,
        memory: EdgeMemory,
        directory: EdgeDirectory,
        sharing: LeaseSharing | None,
        watch: TableWatch,
        newest: NewestIds,
        rollouts: RolloutEngine,
        lease_seconds: float,
    ) -> None:
        self._store = store
        self._memory = memory
        self._sharing = sharing
        self._watch = watch
        self._newest = newest
        self._rollouts = rollouts
        self._lease_seconds = lease_seconds
        self._writes = WriteCoalescer(self.persist_liveness)
        self.directory = directory

    async def renew_lease(self, edge_id: int, body: LeaseRequest) -> LeaseGrant:
        """Renew a lease; writes only if the edge comes up or goes down by it."""
        edge, active = await self._find_edge(edge_id, with_active=body.withdraw)
        check_holder(self._memory.leases, edge_id, body.instance)
        if self._sharing:
            if not self._sharing.works:
                detail = "the database does not answer: try another instance"
                raise Refusal(503, "leases-not-shared", detail, field="database")
            self._sharing.note(edge_id, body)
        self._memory.record_heartbeat(edge_id, body)
        if edge.alive != self._memory.health.is_alive(edge_id):
            await self._writes.write({edge_id: "; ".join(body.reasons) or f"health {body.health}"})
        held = self._memory.acknowledgements.is_held
        return LeaseGrant(
            lease_seconds=self._lease_seconds,
            admin_state=AdminState(edge.admin_state),
            generation=self._watch.generation,
            newest_purge=self._newest.purge,
            newest_fast_open_key=self._newest.fast_open_key,
            watched_services=self._rollouts.watched_services(),
            may_announce=body.announcing or held(edge_id, self._watch.current),
            grant=self._withdrawal_grant(edge_id, body, active),
        )

    async def _find_edge(
        self, edge_id: int, *, with_active: bool
    ) -> tuple[EdgeRecord | EdgeSnapshot, Collection[int]]:
        """Return the edge and, if asked for, the active edges; from memory unless the edge is very new."""
        if known := self.directory.get(edge_id):
            return known, self.directory.active_ids() if with_active else ()
        async with self._store.read() as session:
            active = await edges.active_ids(session) if with_active else ()
            return await edges.find_edge(session, edge_id), active

    def _withdrawal_grant(
        self, edge_id: int, body: LeaseRequest, active: Collection[int]
    ) -> WithdrawalGrant | None:
        grants = self._memory.grants
        if not body.withdraw:
            grants.give_back(edge_id)
            return None
        may_give = self._sharing is None or self._sharing.leads
        given = may_give and grants.request_grant(edge_id, active)
        return WithdrawalGrant(seconds=grants.seconds) if given else None

    async def exchange_heartbeats(self) -> None:
        """Share heartbeats with other instances, and record theirs."""
        if self._sharing is None:
            return
        async with self._store.read() as session:
            for number, (edge_id, age, heartbeat) in enumerate(await self._sharing.exchange(session)):
                if age < self._lease_seconds:
                    self._memory.record_heartbeat(edge_id, heartbeat, age)
                if number % HEARTBEATS_PER_TURN == HEARTBEATS_PER_TURN - 1:
                    await asyncio.sleep(0)
        await self._sharing.try_to_lead()

    async def sweep_leases(self) -> None:
        """Take down the edges whose leases have ended and that no peer reaches."""
        for edge_id in self._memory.leases.drop_expired():
            self._memory.health.record_silence(edge_id)
            self._memory.acknowledgements.forget(edge_id)
            self._memory.services.forget(edge_id)
            self._memory.origins.forget(edge_id)
            self._memory.keys.forget(edge_id)
            self._memory.purges.forget_edge(edge_id)
        if unreached := self._memory.health.remove_unreached():
            await self._writes.write(dict.fromkeys(unreached, "lease lost"))

    async def persist_liveness(self, why: Mapping[int, str]) -> None:
        """Write liveness changes to the database; `why` is edge id -> reason."""
        async with self._store.change() as session:
            session.info["by_health"] = True
            found = await edges.find_by_ids(session, sorted(why))
            for edge_id, reason in why.items():
                edge, alive = found.get(edge_id), self._memory.health.is_alive(edge_id)
                if edge is None:
                    self._memory.forget_edge(edge_id)
                elif edge.alive != alive:
                    edge.alive = alive
                    what = "up" if alive else "down"
                    edges.add_transition(session, self._store.now(), edge_id, what, reason, "lease")
