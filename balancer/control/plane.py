"""What one running control plane consists of, and how a request reaches it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

from balancer.control.clock import Clock
from balancer.control.edges.directory import EdgeDirectory
from balancer.control.edges.leases import Leases
from balancer.control.edges.settling import WriteCoalescer
from balancer.control.edges.sharing import LeaseSharing
from balancer.control.grants.book import GrantBook
from balancer.control.health.acknowledgement import Acknowledgements
from balancer.control.health.board import HealthBoard
from balancer.control.storage.store import Store
from balancer.control.table.publication import Publication
from balancer.control.table.watch import TableWatch
from balancer.model.table import Encapsulation


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers an operator chooses."""

    lease_seconds: float = 10.0
    # no session outlives a day; until then packets for the old owner must not reach another edge
    quarantine: timedelta = timedelta(days=1)
    # of the active edges, how many announce whatever soft failures there are
    minimum_healthy: float = 2 / 3
    encapsulation: Encapsulation = Encapsulation.IPIP  # of tunnels to edges that enrol from now on
    # who changed what is wanted for a year and a bit
    audit_retention: timedelta = timedelta(days=400)


@dataclass(slots=True)
class ControlPlane:
    """Everything that lives as long as the process."""

    rules: Rules
    clock: Clock
    store: Store
    leases: Leases
    sharing: LeaseSharing | None
    directory: EdgeDirectory
    health: HealthBoard
    acknowledgements: Acknowledgements
    grants: GrantBook
    watch: TableWatch
    publication: Publication
    table_key: bytes  # the public one
    admin_sha256: str
    settling: WriteCoalescer
    newest_purge: int = 0
    newest_fast_open_key: int = 0


async def _of(request: Request) -> ControlPlane:  # async: others go through a thread pool
    plane = request.app.state.plane
    assert isinstance(plane, ControlPlane)
    return plane


Plane = Annotated[ControlPlane, Depends(_of)]
