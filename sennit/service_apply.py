"""Make a service what a file says: created, revised and activated as far as it is not so yet."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from balancer.api.client import ApiError
from balancer.api.services import ActivationRequest, RevisionState, RolloutPlan, ServiceBody, ServiceRollback
from services.difference import compare_documents
from services.document import parse_document

if TYPE_CHECKING:
    from balancer.api.services import FieldChange
    from balancer.api.services_client import ServicesClient


async def apply_document(
    client: "ServicesClient", name: str, document: Mapping[str, Any], plan: RolloutPlan | None
) -> "list[FieldChange]":
    """Apply a document and return what it changes; nothing where it is in force, or on its way by a rollout."""
    await client.create_service(ServiceBody(name=name))
    changes = (await client.validate_document(name, document)).changes
    if not changes:
        return []
    added, service = await client.add_revision(name, document), await client.service(name)
    if service.candidate == added.number:
        return []
    if added.state is RevisionState.SUPERSEDED:
        await client.roll_back_service(name, ServiceRollback(revision=added.number))
    else:
        await client.activate_revision(name, ActivationRequest(revision=added.number, rollout=plan))
    return changes


async def preview_document(
    client: "ServicesClient", name: str, document: Mapping[str, Any]
) -> "list[FieldChange]":
    """Return what `apply_document` would change; secrets and sites that it names may still be missing."""
    from balancer.api.services import FieldChange

    parsed = parse_document(document).model_dump(mode="json", exclude_unset=True)
    try:
        service = await client.service(name)
        active = (await client.revision(name, service.active)).document if service.active else {}
    except ApiError as error:
        if error.status != 404:
            raise
        active = {}
    return [
        FieldChange(field=each.field, before=each.before, after=each.after)
        for each in compare_documents(active, parsed)
    ]
