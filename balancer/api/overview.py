"""Bodies of what the fleet page shows of many edges and services."""

from pydantic import BaseModel, Field

from balancer.api.figures import ServiceTotal
from balancer.api.schemas import EdgeView
from balancer.api.services import ServiceView


class EdgesOverview(BaseModel):
    """Counts of all edges, and some of those that match: those that are not well first where not all are listed."""

    generation: int = Field(description="Of the forwarding table.")
    edges: int
    up: int
    degraded: int = Field(description="Of those that are up.")
    draining: int
    down: int
    matching: int
    items: list[EdgeView]
    drawn: list[EdgeView] = Field(description="Those not well, then the busiest, by id.")
    named: list[EdgeView] = Field(description="Those that were asked for by id.")


class ServiceLine(BaseModel):
    """A service and what it did lately."""

    service: ServiceView
    total: ServiceTotal | None = Field(description="Of the last minute; None: nothing.")
    requests: list[int] = Field(description="Of the last hour, minute by minute; empty below the busiest.")


class ServicesOverview(BaseModel):
    """Services that match: those that an edge refuses, then those with a rollout, then the busiest."""

    services: int
    matching: int
    items: list[ServiceLine]
