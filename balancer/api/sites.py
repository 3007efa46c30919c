"""Bodies about sites: edges behind one router."""

from pydantic import BaseModel, Field

from balancer.api.schemas import Body, Name, Reason

SiteName = Name


class SiteBody(Body):
    """A site."""

    name: SiteName = Field(examples=["a"])
    description: str = Field(default="", max_length=200, examples=["Frankfurt, row 3"])


class SitePatch(Body):
    """Change a site."""

    description: str = Field(max_length=200, examples=["Frankfurt, row 4"])
    reason: Reason = ""


class SiteView(BaseModel):
    """A site, and how many of its edges are in which state of the forwarding table."""

    name: str = Field(examples=["a"])
    description: str
    edges: int
    up: int
    draining: int
    down: int


class SitePage(BaseModel):
    """Sites by name; `next` is the `after` of the following page."""

    items: list[SiteView]
    next: str | None = None
