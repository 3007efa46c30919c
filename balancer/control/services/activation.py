"""Activation: which revision of a service is in force, changed in one transaction with the hostnames that it owns."""

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.services import ActivationRequest, ServiceRollback
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.services.force import put_in_force
from balancer.control.services.revisions import find_revision
from balancer.control.services.rollout import repository as rollouts
from balancer.control.services.rollout.service import refuse_under_way, return_rollout, start_rollout
from balancer.control.services.service import find_service
from balancer.control.storage.records import ServiceRecord
from balancer.control.storage.store import Store


async def activate_revision(
    store: Store, name: str, body: ActivationRequest, by: Caller, if_match: str | None
) -> ServiceRecord:
    """Put a draft in force, at once or stage by stage; the active one changes nothing."""
    async with store.change() as session:
        service = await find_service(session, name)
        check_etag(if_match, service)
        await refuse_under_way(session, name)
        record = await find_revision(session, name, body.revision)
        if service.active != body.revision:
            if record.activated_at is not None:
                detail = f"revision {body.revision} was active before: roll back to it, or add it anew"
                raise Refusal(409, "revision-superseded", detail, field="revision")
            if body.rollout is not None:
                await start_rollout(session, store, service, body.revision, body.rollout, by)
                return service
            await put_in_force(session, store, service, body.revision)
            _record_activation(session, store, by, "service.activate", service)
        return service


async def roll_back(
    store: Store, name: str, body: ServiceRollback, by: Caller, if_match: str | None
) -> ServiceRecord:
    """Put a superseded revision in force again. A rollout that is under way goes back instead."""
    async with store.change() as session:
        service = await find_service(session, name)
        check_etag(if_match, service)
        rollout = await rollouts.find_under_way(session, name)
        if rollout is not None and body.revision is None:
            await return_rollout(session, store, rollout, by, f"rolled back by {by.name}")
            return service
        await refuse_under_way(session, name)
        number = service.previous if body.revision is None else body.revision
        if number is None:
            raise Refusal(
                409, "no-previous-revision", f"no other revision of {name} was active", field="revision"
            )
        record = await find_revision(session, name, number)
        if record.activated_at is None:
            raise Refusal(
                409, "revision-draft", f"revision {number} was never active: activate it", field="revision"
            )
        if service.active != number:
            await put_in_force(session, store, service, number)
            _record_activation(session, store, by, "service.rollback", service)
        return service


def _record_activation(
    session: AsyncSession, store: Store, by: Caller, what: str, service: ServiceRecord
) -> None:
    detail = f"revision {service.previous or 'none'} -> {service.active}"
    audit.record_change(session, store.now(), by, what, service.name, detail)
