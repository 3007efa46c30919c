"""The rules for services: created empty, deleted with all that they have."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.services import ServiceBody, ServiceView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.services import repository
from balancer.control.services.published.acknowledgements import ServiceAcknowledgements
from balancer.control.services.published.changes import publish_service
from balancer.control.services.rollout import repository as rollouts
from balancer.control.storage.records import ServiceRecord
from balancer.control.storage.store import Store

SERVICES_LIMIT = 20_000


async def show_services(
    session: AsyncSession, found: Sequence[ServiceRecord], known: ServiceAcknowledgements
) -> list[ServiceView]:
    """Show services, with the hostnames that they own and how far they have come."""
    reports = known.summarise_reports()
    hostnames = await repository.hostnames_of(session, [record.name for record in found])
    active = {record.name: [record.active] for record in found if record.active is not None}
    documents = await repository.documents_of(session, active)
    rolling = {each.service: each.candidate for each in await rollouts.list_under_way(session, hostnames)}
    kinds = {name: str(record.document.get("kind", "http")) for (name, _), record in documents.items()}
    return [
        ServiceView(
            name=record.name,
            kind=kinds.get(record.name),
            active=record.active,
            newest=record.newest,
            candidate=rolling.get(record.name),
            hostnames=hostnames[record.name],
            created_at=record.created_at,
            edges=reports.edges_of(record.name),
        )
        for record in found
    ]


async def find_service(session: AsyncSession, name: str) -> ServiceRecord:
    """Find a service, or refuse."""
    record = await repository.find_by_name(session, name)
    if record is None:
        raise Refusal(404, "no-such-service", f"there is no service {name}", field="name")
    return record


async def show_service(store: Store, record: ServiceRecord, known: ServiceAcknowledgements) -> ServiceView:
    """Show one service as it is once a change is committed."""
    async with store.read() as session:
        return (await show_services(session, [record], known))[0]


async def create_service(store: Store, body: ServiceBody, by: Caller) -> tuple[ServiceRecord, bool]:
    """Create a service; returns False where it exists already."""
    async with store.change() as session:
        record = await repository.find_by_name(session, body.name)
        if created := record is None:
            if await repository.count_services(session) >= SERVICES_LIMIT:
                detail = f"there are {SERVICES_LIMIT} services: delete what is not used"
                raise Refusal(409, "too-many-services", detail, field="name")
            record = ServiceRecord(
                name=body.name, created_at=store.now(), newest=None, active=None, previous=None
            )
            session.add(record)
            audit.record_change(session, store.now(), by, "service.create", body.name)
            await session.flush()
        return record, created


async def delete_service(store: Store, name: str, by: Caller, if_match: str | None) -> None:
    """Delete a service, with its revisions and secrets; edges answer its hostnames no longer."""
    async with store.change() as session:
        record = await find_service(session, name)
        check_etag(if_match, record)
        publish_service(session, name)
        await repository.delete_service(session, record)
        audit.record_change(session, store.now(), by, "service.delete", name)
