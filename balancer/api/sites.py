"""Bodies about sites: edges behind one router."""

from pydantic import BaseModel, Field, StrictBool

from balancer.api.schemas import Body, Name, Reason

SiteName = Name


Ring = Field(
    default=False,
    description="The router may send any packet to any edge: they agree by weight on who takes a first subflow.",
)


class SiteBody(Body):
    """A site."""

    name: SiteName = Field(examples=["a"])
    description: str = Field(default="", max_length=200, examples=["Frankfurt, row 3"])
    ring: StrictBool = Ring


class SitePatch(Body):
    """Change a site; what is not given stays."""

    description: str | None = Field(default=None, max_length=200, examples=["Frankfurt, row 4"])
    ring: StrictBool | None = Field(
        default=None, description="Whether its edges have a ring.", examples=[True]
    )
    new_seed: StrictBool = Field(
        default=False, description="Draw which flow is whose anew; flows that have begun stay where they are."
    )
    reason: Reason = ""


class SiteView(BaseModel):
    """A site, and how many of its edges are in which state of the forwarding table."""

    name: str = Field(examples=["a"])
    description: str
    ring: bool
    edges: int
    up: int
    draining: int
    down: int


class SitePage(BaseModel):
    """Sites by name; `next` is the `after` of the following page."""

    items: list[SiteView]
    next: str | None = None
