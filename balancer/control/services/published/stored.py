"""Services as they are stored, put together for edges."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.services import repository
from balancer.control.services.published.live import LiveService
from balancer.control.services.rollout import repository as rollouts
from balancer.control.services.sealing import SecretSeal, SecretUnreadable
from balancer.control.storage.records import ServiceRecord, ServiceSecretRecord
from services.document import parse_document
from services.published import PublishedService
from services.secrets import find_secret_names

log = logging.getLogger(__name__)


async def read_services(
    session: AsyncSession, seal: SecretSeal, names: Collection[str] | None = None
) -> dict[str, LiveService]:
    """Return the services that are in force, all or those of these names."""
    rolling = {record.service: record for record in await rollouts.list_under_way(session, names)}
    query = select(ServiceRecord).where(ServiceRecord.active.is_not(None))
    if names is not None:
        query = query.where(ServiceRecord.name.in_(sorted(names)))
    active = {record.name: record.active or 0 for record in await session.scalars(query)}
    numbers = {name: {number} for name, number in active.items()}
    for name, rollout in rolling.items():
        numbers.setdefault(name, set()).add(rollout.candidate)
    documents = await repository.documents_of(session, numbers)
    secrets = await _read_secrets(session, seal, list(numbers))

    def entry_of(name: str, number: int | None) -> PublishedService | None:
        record = documents.get((name, number or 0))
        return (
            _make_entry(name, number, record.document, secrets.get(name, {})) if record and number else None
        )

    return {
        name: LiveService(
            entry_of(name, active.get(name)),
            entry_of(name, rolling[name].candidate if name in rolling else None),
            rollouts.begun_stages(rolling[name]) if name in rolling else (),
        )
        for name in numbers
    }


def _make_entry(
    name: str, number: int, document: dict[str, Any], secrets: Mapping[str, str]
) -> PublishedService:
    """Make what edges get of a revision: with the secrets that it names, and no others."""
    named = {secret for _, secret in find_secret_names(parse_document(document))} if secrets else set()
    return PublishedService.of(
        name, number, document, {key: secrets[key] for key in sorted(named & secrets.keys())}
    )


async def _read_secrets(
    session: AsyncSession, seal: SecretSeal, names: Sequence[str]
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(names), repository.VALUES_PER_QUERY):
        some = names[start : start + repository.VALUES_PER_QUERY]
        query = select(ServiceSecretRecord).where(ServiceSecretRecord.service.in_(some))
        for record in await session.scalars(query):
            try:
                value = seal.open_value(record.service, record.key, record.sealed)
            except SecretUnreadable as error:
                log.error("secret left out", extra={"why": str(error)})
            else:
                found.setdefault(record.service, {})[record.key] = value
    return found
