"""How an edge is, as the API says it: apart from what the operator wants of it, with reasons and since when."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, StrictBool

from balancer.api.numbers import Whole
from node.vip import MAXIMUM_EDGE_ID

Text = Annotated[str, Field(max_length=200)]


class FleetHealth(StrEnum):
    """How an edge is, all things known. Only `down` counts in the forwarding table."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class PeerReport(BaseModel):
    """Whether the sender reached another edge. None where it could not try that way."""

    edge_id: Annotated[int, Field(ge=1, le=MAXIMUM_EDGE_ID), Whole]
    forwarding: StrictBool | None = Field(
        default=None, description="By a key exchange through hook and tunnel, at its locator."
    )
    backbone: StrictBool | None = Field(default=None, description="Its agent, over the backbone.")
    outside: StrictBool | None = Field(default=None, description="Its agent, over the outside.")

    @property
    def reached(self) -> bool:
        """Whether subflows get there: a forwarded key exchange proves more than an agent's answer."""
        return bool(self.backbone if self.forwarding is None else self.forwarding)


class ForwardRate(BaseModel):
    """What an edge sends through the tunnel to another."""

    edge_id: int = Field(ge=1, le=MAXIMUM_EDGE_ID)
    packets_per_second: int = Field(ge=0, le=2**53)
    bits_per_second: int = Field(ge=0, le=2**53)


class HealthReason(BaseModel):
    """One thing that is wrong, and since when this control plane knows."""

    reason: str = Field(examples=["probe-forwarding edge 3: no answer in 2 s"])
    since: datetime


class EdgeHealthView(BaseModel):
    """How an edge is, since when, and why."""

    state: FleetHealth
    since: datetime
    reasons: list[HealthReason] = []


class WithdrawalGrant(BaseModel):
    """Permission to withdraw for a soft failure. Renewed by each heartbeat that asks for it; ends by itself."""

    seconds: float = Field(description="From the moment the heartbeat was sent.")
