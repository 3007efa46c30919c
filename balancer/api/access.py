"""Bodies about who may do what: tokens and their roles, the page's login, the audit log."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from balancer.api.numbers import Whole
from balancer.api.schemas import Body, EdgeId, Name

TokenName = Annotated[Name, Field(description="Who or what holds it.", examples=["grafana"])]


class Role(StrEnum):
    """What a token is good for; each of the first three can do all that the one before can."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"
    EDGE = "edge"


class TokenRequest(Body):
    """Ask for a token. Two of one name may be valid at once, so that one can replace the other."""

    name: TokenName
    role: Role = Field(examples=["read"])
    edge_id: EdgeId | None = Field(default=None, description="Whose: with the role edge, and only with it.")
    expires_seconds: Annotated[int, Field(ge=60, le=3660 * 86_400), Whole] | None = Field(
        default=None, description="None: until it is revoked.", examples=[7_776_000]
    )

    @model_validator(mode="after")
    def _edge_has_an_id(self) -> "TokenRequest":
        if (self.role is Role.EDGE) != (self.edge_id is not None):
            raise ValueError("edge_id: goes with the role edge, and only with it")
        return self


class TokenView(BaseModel):
    """A token as listed: never with its secret."""

    id: int
    name: str = Field(examples=["grafana"])
    role: Role
    edge_id: int | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class NewToken(TokenView):
    """A token just made; `token` is shown here and never again."""

    token: str


class TokenPage(BaseModel):
    """Tokens by id; `next` is the `after` of the following page."""

    items: list[TokenView]
    next: int | None = None


class LoginRequest(Body):
    """Exchange a token for the page's cookie."""

    token: str = Field(min_length=1, max_length=512, examples=["5Yx0..."])


class IdentityView(BaseModel):
    """Who is asking, as the control plane sees it."""

    name: str = Field(examples=["grafana"])
    role: Role
    edge_id: int | None = None
    by: Literal["token", "cookie"] = Field(description="How it showed who it is.")


class AuditEntry(BaseModel):
    """One change: who made it, what it was, and why."""

    id: int
    at: datetime
    who: str = Field(examples=["alice"])
    role: Role
    what: str = Field(examples=["edge.admin-state"])
    target: str = Field(examples=["edge1"])
    detail: str = Field(examples=["active -> draining"])
    why: str = Field(examples=["the host gets a new kernel"])


class TransitionView(BaseModel):
    """An edge went up or down in the forwarding table."""

    id: int
    at: datetime
    edge_id: int
    what: str = Field(examples=["down"])
    detail: str = Field(description="Why.", examples=["lease lost"])


class TransitionPage(BaseModel):
    """Transitions, newest first; `next` is the `after` of the following page."""

    items: list[TransitionView]
    next: int | None = None


class AuditPage(BaseModel):
    """Entries, newest first; `next` is the `after` of the following page."""

    items: list[AuditEntry]
    next: int | None = None
