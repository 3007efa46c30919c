"""What an edge says about services in its heartbeats."""

from typing import Annotated

from pydantic import BaseModel, Field

from balancer.api.numbers import Count

Revision = Annotated[Count, Field(ge=1)]


class RefusalReport(BaseModel):
    """A revision that an edge cannot apply, and why."""

    name: str = Field(max_length=63)
    revision: Revision
    reason: str = Field(max_length=300)


class AppliedReport(BaseModel):
    """The generation of services that an edge has in force, except for what it refuses."""

    generation: Count = Field(examples=[7])
    refused: list[RefusalReport] = Field(default=[], max_length=64)
