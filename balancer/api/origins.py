"""Bodies about the origins of services: what edges say of them, and what the fleet knows."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from balancer.api.numbers import Count

UNHEALTHY_LIMIT = 32  # in one heartbeat, some 12 KB at most
SLOWEST_LIMIT = 8
OriginStateName = Literal["healthy", "ejected", "ill"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=63)]
STATE_TEXT = "`ejected` after failed requests, `ill` by failed checks."


class OriginReport(BaseModel):
    """What an edge says of one origin."""

    service: Name
    origin: Name
    state: OriginStateName = Field(description=STATE_TEXT)
    cause: str = Field(default="", max_length=200, description="Its last failure.")
    seconds: Seconds = Field(default=0.0, description="For how long it has not been healthy.")
    latency: Seconds | None = Field(default=None, description="Until its responses begin, lately.")


class OriginsReport(BaseModel):
    """The origins that are not healthy and the slowest of the others; how many there are in all."""

    known: Count = 0
    unhealthy: Count = 0
    listed: list[OriginReport] = Field(default=[], max_length=UNHEALTHY_LIMIT + SLOWEST_LIMIT)


class OriginAtEdge(BaseModel):
    """An origin as one edge sees it."""

    edge_id: int
    state: OriginStateName = Field(description=STATE_TEXT)
    cause: str = Field(description="Its last failure; empty for a healthy origin.")
    since: datetime | None = Field(description="Since when it has not been healthy.")
    latency: float | None = Field(description="Seconds until its responses begin, lately.")


class OriginView(BaseModel):
    """An origin that an edge reports: it is not healthy there, or among the slowest."""

    service: str
    origin: str
    unhealthy_edges: int = Field(description="Edges at which it is not healthy.")
    latency: float | None = Field(description="The highest of all edges, in seconds.")
    edges: list[OriginAtEdge] = Field(description="20 at most: those at which it is not healthy first.")


class OriginsView(BaseModel):
    """What live edges report of origins, those not healthy at most edges first, then the slowest."""

    edges: int = Field(description="Edges that report.")
    unhealthy: int = Field(description="Origins that are not healthy at an edge or more.")
    items: list[OriginView]
