"""What an edge says about services in its heartbeats."""

from typing import Annotated

from pydantic import BaseModel, Field

from balancer.api.numbers import LARGEST_NUMBER, Count, Whole

Revision = Annotated[int, Field(ge=1, le=LARGEST_NUMBER), Whole]


class RefusalReport(BaseModel):
    """A revision that an edge cannot apply, and why."""

    name: str = Field(max_length=63)
    revision: Revision
    reason: str = Field(max_length=300)


class ServiceCounts(BaseModel):
    """What an edge did for a service since its start; counts only grow while it runs."""

    requests: Count = 0
    server_errors: Count = Field(default=0, description="Answers with 5xx.")
    origin_requests: Count = 0
    origin_failures: Count = 0


class AppliedReport(BaseModel):
    """The generation of services that an edge has in force, except for what it refuses."""

    generation: Count = Field(examples=[7])
    refused: list[RefusalReport] = Field(default=[], max_length=64)
    counts: dict[str, ServiceCounts] = Field(
        default={}, max_length=64, description="Of the services that the answer before names."
    )
