"""Queries about edges and their ids."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.http.problems import Refusal
from balancer.control.storage.records import CounterRecord, EdgeRecord, FreedIdRecord, TransitionRecord
from node.state.desired_state import AdminState

ROWS_PER_QUERY = 500  # values in one query


async def find_by_id(session: AsyncSession, edge_id: int) -> EdgeRecord | None:
    return await session.get(EdgeRecord, edge_id)


async def find_by_ids(session: AsyncSession, edge_ids: Sequence[int]) -> dict[int, EdgeRecord]:
    found: dict[int, EdgeRecord] = {}
    for start in range(0, len(edge_ids), ROWS_PER_QUERY):
        some = edge_ids[start : start + ROWS_PER_QUERY]
        rows = (await session.scalars(select(EdgeRecord).where(EdgeRecord.id.in_(some)))).all()
        found |= {edge.id: edge for edge in rows}
    return found


async def find_by_name(session: AsyncSession, name: str) -> EdgeRecord | None:
    return await session.scalar(select(EdgeRecord).where(EdgeRecord.name == name))


async def find_by_credential(session: AsyncSession, credential_sha256: str) -> EdgeRecord | None:
    return await session.scalar(select(EdgeRecord).where(EdgeRecord.credential_sha256 == credential_sha256))


async def find_by_tunnel(session: AsyncSession, field: str, address: str) -> EdgeRecord | None:
    """Find by `tunnel_v4` or `tunnel_v6`."""
    return await session.scalar(select(EdgeRecord).where(getattr(EdgeRecord, field) == address))


async def tunnel_addresses(session: AsyncSession) -> list[tuple[str, str]]:
    """Return the name and the address of every tunnel end."""
    rows = await session.execute(select(EdgeRecord.name, EdgeRecord.tunnel_v4, EdgeRecord.tunnel_v6))
    return [(name, address) for name, *both in rows for address in both if address]


async def list_page(session: AsyncSession, after: int, limit: int) -> Sequence[EdgeRecord]:
    query = select(EdgeRecord).where(EdgeRecord.id > after).order_by(EdgeRecord.id).limit(limit)
    return (await session.scalars(query)).all()


async def list_all(session: AsyncSession) -> Sequence[EdgeRecord]:
    return (await session.scalars(select(EdgeRecord).order_by(EdgeRecord.id))).all()


async def newest_revision(session: AsyncSession) -> int:
    """The number of the last change, whatever it was of."""
    return (await session.scalars(select(CounterRecord.value).where(CounterRecord.name == "revision"))).one()


async def changed_since(session: AsyncSession, revision: int) -> Sequence[EdgeRecord]:
    return (await session.scalars(select(EdgeRecord).where(EdgeRecord.revision > revision))).all()


async def count_edges(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(EdgeRecord)) or 0


async def list_ids(session: AsyncSession) -> set[int]:
    return set((await session.scalars(select(EdgeRecord.id))).all())


async def alive_ids(session: AsyncSession) -> Sequence[int]:
    return (await session.scalars(select(EdgeRecord.id).where(EdgeRecord.alive))).all()


async def active_ids(session: AsyncSession) -> frozenset[int]:
    """Edges that the operator wants to announce."""
    query = select(EdgeRecord.id).where(EdgeRecord.admin_state == AdminState.ACTIVE.value)
    return frozenset((await session.scalars(query)).all())


async def vip_in_use(session: AsyncSession, vip_name: str) -> bool:
    return (
        await session.scalar(select(EdgeRecord.id).where(EdgeRecord.vip_name == vip_name).limit(1))
        is not None
    )


async def ids_not_free(session: AsyncSession, freed_after: datetime) -> set[int]:
    """Ids that an edge has, or that some live forwarder still had for one after the given time."""
    held = await list_ids(session)
    query = select(FreedIdRecord.edge_id).where(
        or_(FreedIdRecord.acknowledged_at.is_(None), FreedIdRecord.acknowledged_at > freed_after)
    )
    return {*held, *(await session.scalars(query)).all()}


async def free_id(session: AsyncSession, edge: EdgeRecord, now: datetime) -> None:
    """Delete the edge and remember its id as freed."""
    session.add(FreedIdRecord(edge_id=edge.id, freed_at=now, credential_sha256=edge.credential_sha256))
    await session.delete(edge)


async def take_id(session: AsyncSession, edge_id: int) -> None:
    """Forget that the id was freed, for it is given again."""
    await session.execute(delete(FreedIdRecord).where(FreedIdRecord.edge_id == edge_id))


async def was_removed(session: AsyncSession, credential_sha256: str) -> bool:
    query = select(FreedIdRecord.edge_id).where(FreedIdRecord.credential_sha256 == credential_sha256)
    return await session.scalar(query.limit(1)) is not None


async def find_edge(session: AsyncSession, edge_id: int) -> EdgeRecord:
    """Find an edge, or refuse."""
    edge = await find_by_id(session, edge_id)
    if edge is None:
        raise Refusal(404, "no-such-edge", f"there is no edge {edge_id}", field="edge_id")
    return edge


def add_transition(
    session: AsyncSession, at: datetime, edge_id: int, what: str, detail: str, by: str
) -> None:
    session.add(TransitionRecord(at=at, edge_id=edge_id, what=what, detail=detail[:200], by=by))


async def find_without_tunnel(session: AsyncSession, field: str, besides: int) -> EdgeRecord | None:
    """Return an edge that has no tunnel address in this field, besides one."""
    query = select(EdgeRecord).where(getattr(EdgeRecord, field).is_(None), EdgeRecord.id != besides)
    return (await session.scalars(query.order_by(EdgeRecord.id).limit(1))).first()
