"""Bodies about purges: what edges must drop from their caches."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from balancer.api.schemas import Body, Reason

# edges accept targets of 8,192 octets; 272 more are a scheme and a host with a port
Url = Annotated[
    str,
    Field(pattern=r"^(https?|smkex)://[!-~]+$", max_length=8464, description="As the client asked for it."),
]
Tag = Annotated[
    str, Field(pattern=r"^[!-~]+$", max_length=128, description="As Cache-Tag or Surrogate-Key names it.")
]


class PurgeRequest(Body):
    """Drop one URL, or everything with a tag."""

    url: Url | None = Field(default=None, examples=["https://cdn.example/logo.png"])
    tag: Tag | None = None
    reason: Reason = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> "PurgeRequest":
        if (self.url is None) == (self.tag is None):
            raise ValueError("url: give url or tag, and not both")
        return self


class PurgeView(BaseModel):
    """One purge; ids grow."""

    id: int
    url: str | None
    tag: str | None
    at: datetime


class PurgePage(BaseModel):
    """Purges by id; `next` is the `after` of the following page."""

    items: list[PurgeView]
    next: int | None = None
