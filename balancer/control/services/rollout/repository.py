"""Queries about rollouts."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.api.services import RolloutState
from balancer.control.services.published.stage import Stage
from balancer.control.storage.records import ServiceRolloutRecord

UNDER_WAY = (RolloutState.RUNNING.value, RolloutState.PAUSED.value)


async def find_rollout(session: AsyncSession, name: str) -> ServiceRolloutRecord | None:
    """Return the last rollout of a service."""
    return await session.get(ServiceRolloutRecord, name)


async def find_under_way(session: AsyncSession, name: str) -> ServiceRolloutRecord | None:
    """Return the rollout of a service that has not ended."""
    record = await find_rollout(session, name)
    return record if record is not None and record.state in UNDER_WAY else None


async def list_under_way(
    session: AsyncSession, names: Collection[str] | None = None
) -> Sequence[ServiceRolloutRecord]:
    """Return the rollouts that have not ended, of all services or of these."""
    query = select(ServiceRolloutRecord).where(ServiceRolloutRecord.state.in_(UNDER_WAY))
    found = (await session.scalars(query)).all()  # few: no need to name the services in the query
    return [record for record in found if names is None or record.service in names]


def stages_of(record: ServiceRolloutRecord) -> tuple[Stage, ...]:
    """Return the stages."""
    return tuple(Stage(each.get("site"), each.get("share")) for each in record.stages)


def begun_stages(record: ServiceRolloutRecord) -> tuple[Stage, ...]:
    """Return the stages whose edges have the candidate."""
    return stages_of(record)[: record.position + 1]
