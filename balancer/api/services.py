"""Bodies about services: what the CDN serves, in numbered revisions, of which one is active."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from balancer.api.figures import NO_SERVICE
from balancer.api.numbers import LARGEST_NUMBER, Whole
from balancer.api.schemas import Body, Name, Reason

ServiceName = Name
RevisionNumber = Annotated[int, Field(ge=1, le=LARGEST_NUMBER, examples=[2]), Whole]
RESERVED_NAMES = {
    NO_SERVICE: "what belongs to no service",
    "default": "edges without services from the control plane",
}
SECRET_LIMIT = 32 * 1024  # characters: a private key, or a JSON Web Key


class RevisionState(StrEnum):
    """Drafts were never in force; of the others one is active."""

    DRAFT = "draft"
    ACTIVE = "active"
    SUPERSEDED = "superseded"


def _refuse_reserved(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"{name} is reserved: figures and log lines use it for {RESERVED_NAMES[name]}")
    return name


class ServiceBody(Body):
    """A service to create; it serves nothing before a revision is active."""

    name: Annotated[ServiceName, AfterValidator(_refuse_reserved)] = Field(examples=["shop"])
    reason: Reason = ""


class RefusalView(BaseModel):
    """An edge that cannot apply a revision, and keeps what it has."""

    edge_id: int
    revision: int
    reason: str


class ServiceEdges(BaseModel):
    """How far the last change of a service has come at the live edges."""

    live: int = Field(description="Live edges, which have said what they applied.")
    applied: int
    refused: list[RefusalView] = Field(description="At most 100.")


class ServiceView(BaseModel):
    """A service."""

    name: str = Field(examples=["shop"])
    kind: str | None = Field(description="Of the active revision; None: there is none.", examples=["http"])
    active: int | None = Field(description="The active revision.", examples=[2])
    newest: int | None = Field(description="The newest revision.", examples=[3])
    candidate: int | None = Field(default=None, description="The revision that a rollout brings.")
    hostnames: list[str] = Field(description="That it owns.", examples=[["www.example.org"]])
    created_at: datetime
    edges: ServiceEdges


class ServicePage(BaseModel):
    """Services by name; `next` is the `after` of the following page."""

    items: list[ServiceView]
    next: str | None = None


class RevisionSummary(BaseModel):
    """A revision without its document."""

    number: int = Field(examples=[2])
    state: RevisionState
    created_at: datetime
    created_by: str
    why: str = Field(description="The reason that was given.")
    activated_at: datetime | None = Field(description="The last time.")


class RevisionView(RevisionSummary):
    """A revision. Its document never changes, and has the values that were given, in canonical form."""

    document: dict[str, Any]


class RevisionPage(BaseModel):
    """Revisions, newest first; `next` is the `after` of the following page."""

    items: list[RevisionSummary]
    next: int | None = None


class ValidationView(BaseModel):
    """A document without faults, in canonical form."""

    document: dict[str, Any]
    changes: list["FieldChange"] = Field(description="From the active revision.")


class FieldChange(BaseModel):
    """One field that differs."""

    field: str = Field(examples=["origins.0.weight"])
    before: Any = Field(description="None: was not there.", examples=[1])
    after: Any = Field(description="None: is not there.", examples=[2])


class DiffView(BaseModel):
    """What differs between two revisions."""

    before: int | None = Field(description="None: no revision, so everything is new.")
    after: int
    changes: list[FieldChange]


class RolloutState(StrEnum):
    """While it is running or paused, edges of its stages have the candidate."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    RETURNED = "returned"


class StageBody(BaseModel):
    """Which edges a stage adds: those of a site, or a share of all."""

    model_config = ConfigDict(extra="forbid")
    site: Name | None = Field(default=None, examples=["a"])
    share: float | None = Field(default=None, gt=0, lt=1, examples=[0.1])

    @model_validator(mode="after")
    def _one_of_both(self) -> "StageBody":
        if (self.site is None) == (self.share is None):
            raise ValueError("share: give site or share, and not both")
        return self


class RolloutPlan(BaseModel):
    """Stages before all edges get the revision. Each must stay well for the dwell time."""

    model_config = ConfigDict(extra="forbid")
    stages: list[StageBody] = Field(min_length=1, max_length=8, examples=[[{"share": 0.1}]])
    dwell_seconds: float = Field(default=60.0, ge=1, le=7 * 86_400)


class RolloutAction(StrEnum):
    """What an operator does with a rollout."""

    ADVANCE = "advance"
    PAUSE = "pause"
    RESUME = "resume"
    RETURN = "return"


class RolloutSteering(Body):
    """Steer a rollout: the next stage now, if this one is well; hold it; let it go on; go back."""

    action: RolloutAction = Field(examples=["pause"])
    reason: Reason = ""


class RolloutView(BaseModel):
    """The last rollout of a service."""

    candidate: int = Field(description="The revision that it brings.")
    before: int | None = Field(description="The active revision.")
    state: RolloutState
    stages: list[StageBody]
    position: int = Field(description="The stage under way, from 0.")
    dwell_seconds: float
    health: str = Field(description="well, waiting or ill: of the edges with the candidate; or ended.")
    why: str = Field(description="Why it waits, or went back.")
    well_seconds: float = Field(description="For so long the stage has been well.")
    edges: int = Field(description="Edges that have the candidate, or shall have it.")
    started_at: datetime
    started_by: str


class ActivationRequest(Body):
    """Put a draft in force."""

    revision: RevisionNumber
    rollout: RolloutPlan | None = Field(default=None, description="Without it, at all edges at once.")
    reason: Reason = ""


class ServiceRollback(Body):
    """Put a superseded revision in force again, at all edges at once."""

    revision: RevisionNumber | None = Field(
        default=None, description="Default: the one that was active before."
    )
    reason: Reason = ""


class SecretBody(Body):
    """The value of a secret, which no answer ever contains."""

    value: str = Field(
        min_length=1,
        max_length=SECRET_LIMIT,
        description="A private key (PEM) or a JSON Web Key, as the documents that name the secret need it.",
        examples=["-----BEGIN PRIVATE KEY-----…"],
    )
    reason: Reason = ""


class SecretView(BaseModel):
    """A secret without its value."""

    key: str = Field(examples=["origin-key"])
    changed_at: datetime
    changed_by: str


class SecretList(BaseModel):
    """All secrets of a service, by name."""

    items: list[SecretView]


class PublishedEntry(BaseModel):
    """A service as edges get it."""

    name: str
    revision: int
    document: dict[str, Any]
    secrets: dict[str, str] = Field(description="Those that the document names.")


class PublishedView(BaseModel):
    """The services of an edge, whole; or with `since`, what changed since that generation."""

    generation: int = Field(examples=[7])
    since: int | None = Field(default=None, description="Missing: these are all services.")
    services: list[PublishedEntry]
    removed: list[str] = Field(default=[], description="Services that are not served any more.")
    signature: str = Field(description="Ed25519, base64, over all services of this edge.")
