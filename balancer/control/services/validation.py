"""Validation of documents: by themselves, and against what else there is. Every fault names its field."""

from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.schemas import FieldError
from balancer.control.http.problems import Refusal
from balancer.control.services import repository
from balancer.control.sites import repository as sites
from services.document import HttpService, ServiceDocument, parse_document
from services.faults import DocumentFault, list_faults
from services.secrets import find_secret_names


def check_document(value: object) -> ServiceDocument:
    """Parse a document; the Refusal 422 lists every fault."""
    try:
        return parse_document(value)
    except ValidationError as error:
        refuse_document(422, list_faults(error, value))


def refuse_document(status: int, faults: Sequence[DocumentFault]) -> NoReturn:
    """Raise the Refusal with all faults."""
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    errors = [FieldError(field=fault.field, message=fault.message) for fault in faults]
    raise Refusal(status, "invalid-document", detail, field=errors[0].field, errors=errors)


def canonical_json(document: ServiceDocument) -> dict[str, Any]:
    """Return the document with what was given, in canonical form; fields that were left out stay out."""
    return document.model_dump(mode="json", exclude_unset=True)


async def find_conflicts(session: AsyncSession, name: str, document: ServiceDocument) -> list[DocumentFault]:
    """Return what keeps a document from being activated as this service's."""
    found = await _find_taken_hostnames(session, name, document)
    known = {record.key for record in await repository.list_secrets(session, name)}
    for field, secret in find_secret_names(document):
        if secret not in known:
            found.append(DocumentFault(field, f"{name} has no secret {secret}: put it there first"))
    if isinstance(document, HttpService) and document.shield:
        site = document.shield.site
        if await sites.find_by_name(session, site) is None:
            found.append(DocumentFault("shield.site", f"there is no site {site}"))
    return found


async def _find_taken_hostnames(
    session: AsyncSession, name: str, document: ServiceDocument
) -> list[DocumentFault]:
    owners = await repository.owners_of(session, document.hostnames)
    return [
        DocumentFault(f"hostnames.{number}", f"{hostname} is a host name of the service {owners[hostname]}")
        for number, hostname in enumerate(document.hostnames)
        if owners.get(hostname, name) != name
    ]
