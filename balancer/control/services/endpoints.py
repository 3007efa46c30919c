"""`/v1/services`: services, their revisions, and which is in force."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from balancer.api.numbers import LARGEST_NUMBER
from balancer.api.services import (
    ActivationRequest,
    DiffView,
    RevisionPage,
    RevisionView,
    ServiceBody,
    ServicePage,
    ServiceRollback,
    ServiceView,
    ValidationView,
)
from balancer.control.authentication.dependencies import Admin, Operator, Reader
from balancer.control.http.paging import After, AfterName, Limit, RowId
from balancer.control.http.parts import StorePart, provide_part
from balancer.control.http.preconditions import IfMatch, set_etag
from balancer.control.http.problems import refusal_responses, success_response
from balancer.control.services import activation, repository, revisions, service
from balancer.control.services.document_body import DOCUMENT_BODY, DocumentBody
from balancer.control.services.published.acknowledgements import ServiceAcknowledgements
from balancer.control.services.validation import canonical_json, find_conflicts, refuse_document

router = APIRouter(prefix="/v1/services", tags=["services"])
KnownPart = Annotated[ServiceAcknowledgements, Depends(provide_part(ServiceAcknowledgements))]
ServicePath = Annotated[str, Path(max_length=63, examples=["shop"])]
Number = Annotated[int | None, Query(ge=1, le=LARGEST_NUMBER)]
SAME = success_response(200, ServiceView, "It exists already.")
SAME_REVISION = success_response(200, RevisionView, "The newest revision says the same.")


@router.get("", responses=refusal_responses(401, 403))
async def list_services(
    store: StorePart, known: KnownPart, _: Reader, after: AfterName = "", limit: Limit = 1000
) -> ServicePage:
    """List services by name, a page at a time."""
    async with store.read() as session:
        found = await repository.list_page(session, after, limit + 1)
        items = await service.show_services(session, found[:limit], known)
    return ServicePage(items=items, next=found[limit - 1].name if len(found) > limit else None)


@router.post("", status_code=201, responses=SAME | refusal_responses(401, 403, 409))
async def create_service(
    store: StorePart, known: KnownPart, by: Admin, body: ServiceBody, response: Response
) -> ServiceView:
    """Create a service, which serves nothing yet; the same again changes nothing."""
    record, created = await service.create_service(store, body, by.because(body.reason))
    set_etag(response, record.revision)
    if not created:
        response.status_code = 200
    return await service.show_service(store, record, known)


@router.get("/{name}", responses=refusal_responses(401, 403, 404))
async def show_service(
    store: StorePart, known: KnownPart, _: Reader, name: ServicePath, response: Response
) -> ServiceView:
    """Show one service. Its ETag changes with each new revision and activation."""
    async with store.read() as session:
        record = await service.find_service(session, name)
    set_etag(response, record.revision)
    return await service.show_service(store, record, known)


@router.delete("/{name}", status_code=204, responses=refusal_responses(401, 403, 404, 412))
async def delete_service(store: StorePart, by: Admin, name: ServicePath, if_match: IfMatch = None) -> None:
    """Delete a service with its revisions and secrets: edges stop serving it at once."""
    await service.delete_service(store, name, by, if_match)


@router.get("/{name}/revisions", responses=refusal_responses(401, 403, 404))
async def list_revisions(
    store: StorePart, _: Reader, name: ServicePath, after: After = 0, limit: Limit = 100
) -> RevisionPage:
    """List the newest 200 revisions, newest first, a page at a time."""
    async with store.read() as session:
        record = await service.find_service(session, name)
        found = await repository.list_revisions(session, name, after, limit + 1)
    items = [revisions.revision_summary(record, each) for each in found[:limit]]
    return RevisionPage(items=items, next=found[limit - 1].number if len(found) > limit else None)


@router.post(
    "/{name}/revisions",
    status_code=201,
    openapi_extra=DOCUMENT_BODY,
    responses=SAME_REVISION | refusal_responses(401, 403, 404, 412, 413),
)
async def add_revision(
    store: StorePart,
    by: Operator,
    name: ServicePath,
    document: DocumentBody,
    response: Response,
    if_match: IfMatch = None,
) -> RevisionView:
    """Add a revision as a draft; what the newest revision says already adds none. The reason is `Sennit-Reason`."""
    view, etag, created = await revisions.add_revision(store, name, document, by, if_match)
    set_etag(response, etag)
    if not created:
        response.status_code = 200
    return view


@router.get("/{name}/revisions/{number}", responses=refusal_responses(401, 403, 404))
async def show_revision(store: StorePart, _: Reader, name: ServicePath, number: RowId) -> RevisionView:
    """Show one revision with its document."""
    async with store.read() as session:
        record = await service.find_service(session, name)
        return revisions.revision_view(record, await revisions.find_revision(session, name, number))


@router.post(
    "/{name}/validate", openapi_extra=DOCUMENT_BODY, responses=refusal_responses(401, 403, 404, 409, 413)
)
async def validate_document(
    store: StorePart, _: Operator, name: ServicePath, document: DocumentBody
) -> ValidationView:
    """Check whether a document could be activated now, and what it would change; stores nothing.

    A document that contradicts what else there is is refused with 409, one that is wrong by itself with 422; both name
    every fault.
    """
    async with store.read() as session:
        record = await service.find_service(session, name)
        if faults := await find_conflicts(session, name, document):
            refuse_document(409, faults)
        content, before = canonical_json(document), {}
        if record.active is not None:
            before = (await revisions.find_revision(session, name, record.active)).document
    return ValidationView(document=content, changes=revisions.field_changes(before, content))


@router.get("/{name}/diff", responses=refusal_responses(401, 403, 404))
async def compare_revisions(
    store: StorePart, _: Reader, name: ServicePath, before: Number = None, after: Number = None
) -> DiffView:
    """Compare two revisions field by field; without numbers, the active one and the newest."""
    async with store.read() as session:
        return await revisions.compare_revisions(session, name, before, after)


@router.post("/{name}/activate", responses=refusal_responses(401, 403, 404, 409, 412))
async def activate_revision(
    store: StorePart,
    known: KnownPart,
    by: Operator,
    name: ServicePath,
    body: ActivationRequest,
    response: Response,
    if_match: IfMatch = None,
) -> ServiceView:
    """Put a draft in force; the active revision is superseded. The active one again changes nothing."""
    record = await activation.activate_revision(store, name, body, by.because(body.reason), if_match)
    set_etag(response, record.revision)
    return await service.show_service(store, record, known)


@router.post("/{name}/rollback", responses=refusal_responses(401, 403, 404, 409, 412))
async def roll_back_service(
    store: StorePart,
    known: KnownPart,
    by: Operator,
    name: ServicePath,
    body: ServiceRollback,
    response: Response,
    if_match: IfMatch = None,
) -> ServiceView:
    """Put a superseded revision in force again, at all edges at once; by default the one before the active one."""
    record = await activation.roll_back(store, name, body, by.because(body.reason), if_match)
    set_etag(response, record.revision)
    return await service.show_service(store, record, known)
