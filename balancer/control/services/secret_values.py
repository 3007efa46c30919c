"""The rules for secrets: written and deleted, listed by name, and read by edges only."""

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.services import SecretBody, SecretList, SecretView
from balancer.control.audit import service as audit
from balancer.control.authentication.caller import Caller
from balancer.control.http.problems import Refusal
from balancer.control.services import repository
from balancer.control.services.published.changes import publish_service
from balancer.control.services.rollout.service import candidate_secrets
from balancer.control.services.sealing import SecretSeal
from balancer.control.services.service import find_service
from balancer.control.services.validation import check_document
from balancer.control.storage.records import ServiceRecord, ServiceSecretRecord
from balancer.control.storage.store import Store
from services.secrets import find_secret_names

SECRETS_LIMIT = 64  # of a service


def secret_view(record: ServiceSecretRecord) -> SecretView:
    """Show a secret without its value."""
    return SecretView(key=record.key, changed_at=record.changed_at, changed_by=record.changed_by)


async def list_secrets(session: AsyncSession, name: str) -> SecretList:
    """List the secrets of a service by name."""
    await find_service(session, name)
    return SecretList(items=[secret_view(each) for each in await repository.list_secrets(session, name)])


async def put_secret(
    store: Store, seal: SecretSeal, name: str, key: str, body: SecretBody, by: Caller
) -> SecretView:
    """Write a secret; edges get it at once where the active revision names it."""
    async with store.change() as session:
        service = await find_service(session, name)
        record = await repository.find_secret(session, name, key)
        if record is None:
            if len(await repository.list_secrets(session, name)) >= SECRETS_LIMIT:
                detail = f"{name} has {SECRETS_LIMIT} secrets: delete what is not used"
                raise Refusal(409, "too-many-secrets", detail, field="key")
            record = ServiceSecretRecord(service=name, key=key)
            session.add(record)
        record.sealed = seal.seal_value(name, key, body.value)
        record.changed_at, record.changed_by = store.now(), by.name[:80]
        audit.record_change(session, store.now(), by, "service.secret", name, key)
        if key in await _names_in_force(session, service):
            publish_service(session, name)
        await session.flush()
        return secret_view(record)


async def delete_secret(store: Store, name: str, key: str, by: Caller) -> None:
    """Delete a secret that the active revision does not name."""
    async with store.change() as session:
        service = await find_service(session, name)
        record = await repository.find_secret(session, name, key)
        if record is None:
            raise Refusal(404, "no-such-secret", f"{name} has no secret {key}", field="key")
        if key in await _names_in_force(session, service):
            detail = f"the active revision of {name} names {key}: activate one without it first"
            raise Refusal(409, "secret-in-use", detail, field="key")
        await session.delete(record)
        audit.record_change(session, store.now(), by, "service.secret-delete", name, key)


async def _names_in_force(session: AsyncSession, service: ServiceRecord) -> set[str]:
    names = await candidate_secrets(session, service.name)
    if service.active is None:
        return names
    record = await repository.find_revision(session, service.name, service.active)
    active = find_secret_names(check_document(record.document)) if record else ()
    return names | {secret for _, secret in active}
