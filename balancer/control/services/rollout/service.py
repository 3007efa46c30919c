"""The rules for rollouts: begun by an activation, passed stage by stage, ended by all edges or by going back."""

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.services import RolloutPlan, RolloutState
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.problems import Refusal
from balancer.control.services.force import check_revision, own_hostnames, put_in_force
from balancer.control.services.published.changes import publish_service
from balancer.control.services.revisions import find_revision
from balancer.control.services.rollout import repository as rollouts
from balancer.control.services.service import find_service
from balancer.control.services.validation import check_document
from balancer.control.sites import repository as sites
from balancer.control.storage.records import ServiceRecord, ServiceRolloutRecord
from balancer.control.storage.store import Store
from services.secrets import find_secret_names


async def refuse_under_way(session: AsyncSession, name: str) -> None:
    """Refuse what contradicts a rollout that has not ended."""
    if record := await rollouts.find_under_way(session, name):
        detail = f"a rollout brings revision {record.candidate}: let it end, or return it"
        raise Refusal(409, "rollout-under-way", detail, field="revision")


async def start_rollout(
    session: AsyncSession, store: Store, service: ServiceRecord, number: int, plan: RolloutPlan, by: Caller
) -> None:
    """Give the edges of the first stage a draft. The service owns the hostnames of both revisions meanwhile."""
    for index, stage in enumerate(plan.stages):
        if stage.site is not None and await sites.find_by_name(session, stage.site) is None:
            field = f"rollout.stages.{index}.site"
            raise Refusal(404, "no-such-site", f"there is no site {stage.site}", field=field)
    document = await check_revision(session, service.name, number)
    hostnames = {*document.hostnames, *await _active_hostnames(session, service)}
    await own_hostnames(session, service.name, hostnames)
    if ended := await rollouts.find_rollout(session, service.name):
        await session.delete(ended)
        await session.flush()
    session.add(
        ServiceRolloutRecord(
            service=service.name,
            candidate=number,
            stages=[stage.model_dump() for stage in plan.stages],
            position=0,
            dwell_seconds=plan.dwell_seconds,
            state=RolloutState.RUNNING.value,
            why="",
            started_at=store.now(),
            started_by=by.name[:80],
        )
    )
    publish_service(session, service.name)
    audit.record_change(
        session, store.now(), by, "service.rollout", service.name, f"revision {number}, stage 0"
    )
    await session.flush()


async def _active_hostnames(session: AsyncSession, service: ServiceRecord) -> tuple[str, ...]:
    if service.active is None:
        return ()
    record = await find_revision(session, service.name, service.active)
    return tuple(record.document["hostnames"])


async def pass_stage(session: AsyncSession, store: Store, record: ServiceRolloutRecord, by: Caller) -> None:
    """Begin the next stage; after the last one the candidate is in force at all edges."""
    service = await find_service(session, record.service)
    if record.position + 1 < len(record.stages):
        record.position += 1
        detail = f"revision {record.candidate}, stage {record.position}"
        audit.record_change(session, store.now(), by, "service.rollout", service.name, detail)
        publish_service(session, service.name)
        return
    await put_in_force(session, store, service, record.candidate)
    record.state = RolloutState.DONE.value
    detail = f"revision {service.previous or 'none'} -> {service.active}"
    audit.record_change(session, store.now(), by, "service.activate", service.name, detail)


async def return_rollout(
    session: AsyncSession, store: Store, record: ServiceRolloutRecord, by: Caller, why: str
) -> None:
    """Give all edges the active revision again."""
    service = await find_service(session, record.service)
    await own_hostnames(session, service.name, await _active_hostnames(session, service))
    record.state, record.why = RolloutState.RETURNED.value, why[:300]
    publish_service(session, service.name)
    detail = f"revision {record.candidate}: {why}"
    audit.record_change(session, store.now(), by, "service.rollout-return", service.name, detail)


async def set_paused(
    session: AsyncSession, store: Store, record: ServiceRolloutRecord, by: Caller, *, paused: bool
) -> None:
    """Hold a rollout where it is, or let it go on. One that is ill goes back in either case."""
    record.state = (RolloutState.PAUSED if paused else RolloutState.RUNNING).value
    what = "service.rollout-pause" if paused else "service.rollout-resume"
    audit.record_change(session, store.now(), by, what, record.service, f"revision {record.candidate}")


async def candidate_secrets(session: AsyncSession, name: str) -> set[str]:
    """Return the secrets that the candidate of a rollout under way names."""
    record = await rollouts.find_under_way(session, name)
    if record is None:
        return set()
    revision = await find_revision(session, name, record.candidate)
    return {secret for _, secret in find_secret_names(check_document(revision.document))}
