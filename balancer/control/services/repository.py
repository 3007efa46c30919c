"""Queries about services, their revisions, hostnames and secrets."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.storage.records import (
    ServiceHostnameRecord,
    ServiceRecord,
    ServiceRevisionRecord,
    ServiceRolloutRecord,
    ServiceSecretRecord,
)

VALUES_PER_QUERY = 500


async def find_by_name(session: AsyncSession, name: str) -> ServiceRecord | None:
    return await session.get(ServiceRecord, name)


async def count_services(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(ServiceRecord)) or 0


async def find_names(session: AsyncSession, wanted: str) -> set[str]:
    """Return the services whose name, or one of whose host names, contains `wanted`, in lower case."""
    name, owner = ServiceRecord.name, ServiceHostnameRecord.service
    found = set((await session.scalars(select(name).where(name.contains(wanted, autoescape=True)))).all())
    if wanted:
        hostname = ServiceHostnameRecord.hostname.contains(wanted, autoescape=True)
        found |= set((await session.scalars(select(owner).where(hostname).distinct())).all())
    return found


async def find_by_names(session: AsyncSession, names: Sequence[str]) -> dict[str, ServiceRecord]:
    """Return these services, `VALUES_PER_QUERY` at most."""
    rows = (await session.scalars(select(ServiceRecord).where(ServiceRecord.name.in_(names)))).all()
    return {record.name: record for record in rows}


async def list_page(session: AsyncSession, after: str, limit: int) -> Sequence[ServiceRecord]:
    query = select(ServiceRecord).where(ServiceRecord.name > after).order_by(ServiceRecord.name).limit(limit)
    return (await session.scalars(query)).all()


async def delete_service(session: AsyncSession, record: ServiceRecord) -> None:
    """Delete a service with all that it has."""
    for kind in (ServiceHostnameRecord, ServiceRolloutRecord, ServiceSecretRecord, ServiceRevisionRecord):
        await session.execute(delete(kind).where(kind.service == record.name))
    await session.delete(record)


async def find_revision(session: AsyncSession, name: str, number: int) -> ServiceRevisionRecord | None:
    return await session.get(ServiceRevisionRecord, (name, number))


async def list_revisions(
    session: AsyncSession, name: str, before: int, limit: int
) -> Sequence[ServiceRevisionRecord]:
    """Newest first."""
    query = select(ServiceRevisionRecord).where(ServiceRevisionRecord.service == name)
    if before:
        query = query.where(ServiceRevisionRecord.number < before)
    return (await session.scalars(query.order_by(ServiceRevisionRecord.number.desc()).limit(limit))).all()


async def drop_revisions(session: AsyncSession, name: str, kept: int, never: Collection[int]) -> None:
    """Delete the oldest revisions beyond `kept`, but none of `never`."""
    column = ServiceRevisionRecord.number
    mine = ServiceRevisionRecord.service == name
    oldest = await session.scalar(select(column).where(mine).order_by(column.desc()).offset(kept).limit(1))
    if oldest is not None:
        gone = mine, column <= oldest, column.not_in(never)
        await session.execute(delete(ServiceRevisionRecord).where(*gone))


async def owners_of(session: AsyncSession, hostnames: Sequence[str]) -> dict[str, str]:
    """Return the service that owns each of the hostnames that have an owner."""
    found: dict[str, str] = {}
    columns = ServiceHostnameRecord.hostname, ServiceHostnameRecord.service
    for start in range(0, len(hostnames), VALUES_PER_QUERY):
        some = hostnames[start : start + VALUES_PER_QUERY]
        for hostname, service in await session.execute(select(*columns).where(columns[0].in_(some))):
            found[hostname] = service
    return found


async def hostnames_of(session: AsyncSession, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the hostnames that these services own, in order."""
    found: dict[str, list[str]] = {name: [] for name in names}
    columns = ServiceHostnameRecord.service, ServiceHostnameRecord.hostname
    for start in range(0, len(names), VALUES_PER_QUERY):
        some = names[start : start + VALUES_PER_QUERY]
        query = select(*columns).where(columns[0].in_(some)).order_by(columns[1])
        for service, hostname in await session.execute(query):
            found[service].append(hostname)
    return found


async def replace_hostnames(session: AsyncSession, name: str, hostnames: Collection[str]) -> None:
    """Let a service own exactly these; IntegrityError where another one owns one of them."""
    owned = (await hostnames_of(session, [name]))[name]
    surplus = sorted(set(owned) - set(hostnames))
    for start in range(0, len(surplus), VALUES_PER_QUERY):
        some = surplus[start : start + VALUES_PER_QUERY]
        gone = ServiceHostnameRecord.service == name, ServiceHostnameRecord.hostname.in_(some)
        await session.execute(delete(ServiceHostnameRecord).where(*gone))
    fresh = sorted(set(hostnames) - set(owned))
    session.add_all(ServiceHostnameRecord(hostname=each, service=name) for each in fresh)
    await session.flush()


async def list_secrets(session: AsyncSession, name: str) -> Sequence[ServiceSecretRecord]:
    query = select(ServiceSecretRecord).where(ServiceSecretRecord.service == name)
    return (await session.scalars(query.order_by(ServiceSecretRecord.key))).all()


async def find_secret(session: AsyncSession, name: str, key: str) -> ServiceSecretRecord | None:
    return await session.get(ServiceSecretRecord, (name, key))


async def documents_of(
    session: AsyncSession, numbers: Mapping[str, Iterable[int]]
) -> dict[tuple[str, int], ServiceRevisionRecord]:
    """Return these revisions of these services."""
    found: dict[tuple[str, int], ServiceRevisionRecord] = {}
    names = list(numbers)
    for start in range(0, len(names), VALUES_PER_QUERY):
        some = names[start : start + VALUES_PER_QUERY]
        wanted = {number for name in some for number in numbers[name]}
        mine = ServiceRevisionRecord.service.in_(some), ServiceRevisionRecord.number.in_(wanted)
        for record in await session.scalars(select(ServiceRevisionRecord).where(*mine)):
            if record.number in numbers[record.service]:
                found[record.service, record.number] = record
    return found
