"""The rules for revisions: numbered, and never changed."""

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.services import DiffView, FieldChange, RevisionState, RevisionSummary, RevisionView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.preconditions import check_etag
from balancer.control.http.problems import Refusal
from balancer.control.services import repository
from balancer.control.services.rollout import repository as rollouts
from balancer.control.services.service import find_service
from balancer.control.services.validation import canonical_json
from balancer.control.storage.records import ServiceRecord, ServiceRevisionRecord
from balancer.control.storage.store import Store
from services.difference import compare_documents
from services.document import ServiceDocument

REVISIONS_KEPT = 200  # of a service, beside those in force


def revision_summary(service: ServiceRecord, record: ServiceRevisionRecord) -> RevisionSummary:
    """Show a revision without its document."""
    return RevisionSummary(
        number=record.number,
        state=_state_of(service, record),
        created_at=record.created_at,
        created_by=record.created_by,
        why=record.why,
        activated_at=record.activated_at,
    )


def revision_view(service: ServiceRecord, record: ServiceRevisionRecord) -> RevisionView:
    """Show a revision."""
    return RevisionView(**revision_summary(service, record).model_dump(), document=record.document)


def _state_of(service: ServiceRecord, record: ServiceRevisionRecord) -> RevisionState:
    if record.number == service.active:
        return RevisionState.ACTIVE
    return RevisionState.DRAFT if record.activated_at is None else RevisionState.SUPERSEDED


async def find_revision(session: AsyncSession, name: str, number: int) -> ServiceRevisionRecord:
    """Find a revision, or refuse."""
    record = await repository.find_revision(session, name, number)
    if record is None:
        detail = f"{name} has no revision {number}, or it is not kept any more"
        raise Refusal(404, "no-such-revision", detail, field="revision")
    return record


async def add_revision(
    store: Store, name: str, document: ServiceDocument, by: Caller, if_match: str | None
) -> tuple[RevisionView, int, bool]:
    """Add a draft; returns the service's ETag, and False where the newest revision says the same."""
    content = canonical_json(document)
    async with store.change() as session:
        service = await find_service(session, name)
        check_etag(if_match, service)
        newest = await repository.find_revision(session, name, service.newest) if service.newest else None
        if newest is not None and newest.document == content:
            return revision_view(service, newest), service.revision, False
        now, number = store.now(), (service.newest or 0) + 1
        record = ServiceRevisionRecord(
            service=name,
            number=number,
            document=content,
            created_at=now,
            created_by=by.name[:80],
            why=by.why[:200],
            activated_at=None,
        )
        session.add(record)
        service.newest = number
        audit.record_change(session, now, by, "service.revise", name, f"revision {number}")
        await session.flush()
        rollout = await rollouts.find_under_way(session, name)
        in_use = service.active, service.previous, number, rollout.candidate if rollout else None
        used = [each for each in in_use if each is not None]
        await repository.drop_revisions(session, name, REVISIONS_KEPT, used)
        return revision_view(service, record), service.revision, True


async def compare_revisions(
    session: AsyncSession, name: str, before: int | None, after: int | None
) -> DiffView:
    """Compare two revisions; without numbers the active one and the newest."""
    service = await find_service(session, name)
    before = service.active if before is None else before
    after = service.newest if after is None else after
    if after is None:
        raise Refusal(404, "no-such-revision", f"{name} has no revision yet", field="after")
    older = (await find_revision(session, name, before)).document if before is not None else {}
    newer = (await find_revision(session, name, after)).document
    return DiffView(before=before, after=after, changes=field_changes(older, newer))


def field_changes(before: object, after: object) -> list[FieldChange]:
    """Return the differences as the API shows them."""
    return [
        FieldChange(field=each.field, before=each.before, after=each.after)
        for each in compare_documents(before, after)
    ]
