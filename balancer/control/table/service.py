"""The forwarding table follows from what is stored: derived anew at every change, published when it differs."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from balancer.control.edges import repository as edges
from balancer.control.edges.state import table_state
from balancer.control.plane import ControlPlane
from balancer.control.records import TableRecord
from balancer.control.table import repository
from balancer.control.vips import repository as vips
from balancer.control.vips.service import view as vip_view
from balancer.model.table import ForwardingTable, TableEdge, vip_from_json

KEPT_GENERATIONS = 256


async def load(session: AsyncSession) -> ForwardingTable:
    """Read the newest generation; 0, which is empty, before the first change."""
    record = await repository.newest(session)
    return ForwardingTable.from_json(record.content) if record else ForwardingTable(generation=0)


async def derive(session: AsyncSession, generation: int) -> ForwardingTable:
    """Make the table that what is stored leads to."""
    return ForwardingTable(
        generation=generation,
        vips=tuple(vip_from_json(vip_view(vip).model_dump(mode="json")) for vip in await vips.every(session)),
        edges=tuple(
            TableEdge(
                id=edge.id,
                name=edge.name,
                tunnel_v4=edge.tunnel_v4,
                tunnel_v6=edge.tunnel_v6,
                state=table_state(edge.admin_state, edge.alive),
            )
            for edge in await edges.every(session)
        ),
    )


def publisher(plane: ControlPlane) -> Callable[[AsyncSession], Awaitable[Callable[[], None] | None]]:
    """Make what `Store.change` runs before it commits: it stores the next generation where there is one."""

    async def publish(session: AsyncSession) -> Callable[[], None] | None:
        current = plane.watch.current
        derived = await derive(session, current.generation)
        if derived == current:
            return None
        table = replace(derived, generation=current.generation + 1)
        session.add(
            TableRecord(generation=table.generation, published_at=plane.clock.now(), content=table.to_json())
        )
        await repository.drop_until(session, table.generation - KEPT_GENERATIONS)
        return lambda: plane.watch.put(table)

    return publish
