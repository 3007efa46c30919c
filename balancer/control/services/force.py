"""What activations and rollouts share: a revision is checked once more, and a service owns the hostnames in force."""

from collections.abc import Collection

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.http.problems import Refusal
from balancer.control.services import repository
from balancer.control.services.published.changes import publish_service
from balancer.control.services.revisions import find_revision
from balancer.control.services.validation import check_document, find_conflicts, refuse_document
from balancer.control.storage.records import ServiceRecord
from balancer.control.storage.store import Store
from services.document import ServiceDocument


async def check_revision(session: AsyncSession, name: str, number: int) -> ServiceDocument:
    """Return the document of a revision, if nothing contradicts it by now."""
    record = await find_revision(session, name, number)
    document = check_document(record.document)  # valid when it was added, perhaps by another version
    if faults := await find_conflicts(session, name, document):
        refuse_document(409, faults)
    return document


async def own_hostnames(session: AsyncSession, name: str, hostnames: Collection[str]) -> None:
    """Let a service own exactly these, or refuse where another one owns one of them."""
    try:
        await repository.replace_hostnames(session, name, hostnames)
    except IntegrityError:
        detail = "another service has one of the host names"
        raise Refusal(409, "hostname-taken", detail, field="hostnames") from None


async def put_in_force(session: AsyncSession, store: Store, service: ServiceRecord, number: int) -> None:
    """Make a revision the active one at all edges."""
    document = await check_revision(session, service.name, number)
    await own_hostnames(session, service.name, document.hostnames)
    service.previous, service.active = service.active, number
    record = await find_revision(session, service.name, number)
    record.activated_at = store.now()
    publish_service(session, service.name)
    await session.flush()
