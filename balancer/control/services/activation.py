"""Activation: which revision of a service is in force, changed in one transaction with the hostnames that it owns."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.services import ActivationRequest, ServiceRollback
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.services import repository
from balancer.control.services.published.changes import publish_service
from balancer.control.services.revisions import find_revision
from balancer.control.services.service import find_service
from balancer.control.services.validation import check_document, find_conflicts, refuse_document
from balancer.control.storage.records import ServiceRecord
from balancer.control.storage.store import Store


async def activate_revision(
    store: Store, name: str, body: ActivationRequest, by: Caller, if_match: str | None
) -> ServiceRecord:
    """Put a draft in force; the active one changes nothing."""
    async with store.change() as session:
        service = await find_service(session, name)
        check_etag(if_match, service)
        record = await find_revision(session, name, body.revision)
        if service.active != body.revision:
            if record.activated_at is not None:
                detail = f"revision {body.revision} was active before: roll back to it, or add it anew"
                raise Refusal(409, "revision-superseded", detail, field="revision")
            await put_in_force(session, store, service, body.revision)
            _record_activation(session, store, by, "service.activate", service)
        return service


async def roll_back(
    store: Store, name: str, body: ServiceRollback, by: Caller, if_match: str | None
) -> ServiceRecord:
    """Put a superseded revision in force again."""
    async with store.change() as session:
        service = await find_service(session, name)
        check_etag(if_match, service)
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


async def put_in_force(session: AsyncSession, store: Store, service: ServiceRecord, number: int) -> None:
    """Make a revision the active one, if nothing else contradicts it by now."""
    record = await find_revision(session, service.name, number)
    document = check_document(record.document)  # valid when it was added, perhaps by another version
    if faults := await find_conflicts(session, service.name, document):
        refuse_document(409, faults)
    try:
        await repository.replace_hostnames(session, service.name, document.hostnames)
    except IntegrityError:
        detail = "another service has one of the host names"
        raise Refusal(409, "hostname-taken", detail, field="hostnames") from None
    service.previous, service.active = service.active, number
    record.activated_at = store.now()
    publish_service(session, service.name)
    await session.flush()


def _record_activation(
    session: AsyncSession, store: Store, by: Caller, what: str, service: ServiceRecord
) -> None:
    detail = f"revision {service.previous or 'none'} -> {service.active}"
    audit.record_change(session, store.now(), by, what, service.name, detail)
