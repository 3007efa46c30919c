"""Bodies about the forwarding table: its generations, who has them, holding it still."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field, StrictBool

from balancer.api.numbers import Count
from balancer.api.schemas import Body, EdgeId, Reason


class VipEntry(BaseModel):
    """A VIP in the table."""

    name: str
    v4: str | None
    v6: str | None
    service_port: int
    locator: str
    id_port_base: int
    replies: str = Field(default="symmetric", examples=["symmetric"])


class EdgeEntry(BaseModel):
    """An edge in the table."""

    id: EdgeId
    name: str
    tunnel_v4: str | None
    tunnel_v6: str | None
    state: str = Field(examples=["up"])
    encapsulation: str = Field(default="ipip", examples=["ipip"])


class MemberEntry(BaseModel):
    """An edge in the ring of its site; with weight 0 it only hands on what others take."""

    id: EdgeId
    weight: int


class SiteEntry(BaseModel):
    """The ring of a site: who takes first subflows, and who did before the last change."""

    name: str
    current: list[MemberEntry]
    previous: list[MemberEntry]


class TableView(BaseModel):
    """The forwarding table, whole; or with `since`, what changed since that generation (VIPs are whole always)."""

    generation: int = Field(examples=[7])
    since: int | None = Field(default=None, description="Missing: this is the whole table.")
    vips: list[VipEntry]
    edges: list[EdgeEntry]
    sites: list[SiteEntry] = Field(
        default=[], description="Missing where no site has a ring, or none changed."
    )
    removed: list[int] = Field(default=[], description="Ids that the table has no more.")
    removed_sites: list[str] = Field(default=[], description="Sites that have a ring no more.")
    signature: str = Field(description="Ed25519, base64, over the whole table.")


class TableKeyLink(BaseModel):
    """A key, and the one that follows it; each 32 bytes, base64."""

    before: str
    after: str
    signature: str = Field(description="Ed25519, base64, with the key before.")


class TableKey(BaseModel):
    """The key that tables are signed with."""

    algorithm: str = Field(examples=["ed25519"])
    key: str = Field(description="32 bytes, base64.")
    next: str | None = Field(default=None, description="The key that follows, while a rotation is under way.")
    links: list[TableKeyLink] = Field(default=[], description="Which key followed which, the newest last.")


class KeyRotationAction(StrEnum):
    """A step of a rotation; `replace` puts a new key in use at once, which no node believes by itself."""

    BEGIN = "begin"
    FINISH = "finish"
    CANCEL = "cancel"
    REPLACE = "replace"


class KeyRotationRequest(Body):
    """Take a step. `force`: finish though some live nodes do not know the next key."""

    action: KeyRotationAction = Field(examples=["begin"])
    force: StrictBool = False
    reason: Reason = ""


class KeyRotationView(BaseModel):
    """The keys (hexadecimal), and how many live nodes accept the newest."""

    current: str
    next: str | None = Field(description="Missing: no rotation is under way.")
    nodes: int = Field(description="Live nodes.")
    ready: int = Field(description="Those that accept the newest key.")
    behind: list[int] = Field(description="At most 100 of the others, by edge id.")


class GenerationView(BaseModel):
    """One generation, and what it changed."""

    generation: int
    published_at: datetime
    changes: list[str] = Field(description="At most 20.", examples=[["edge1 up -> draining"]])
    changed: int = Field(description="How many entries.")
    by_health: bool = Field(default=False, description="Whether only liveness changed.")


class GenerationPage(BaseModel):
    """Generations, newest first; `next` is the `after` of the following page."""

    items: list[GenerationView]
    next: int | None = None


class BehindView(BaseModel):
    """A forwarder that lacks a generation."""

    edge_id: int
    applied_generation: int


class AcknowledgementView(BaseModel):
    """How many live forwarders have applied a generation."""

    generation: int
    forwarders: int = Field(description="Live ones, which have said what they applied.")
    applied: int
    share: float = Field(description="1 where there is no forwarder.")
    behind: list[BehindView] = Field(description="At most 100 of those that lack it.")


class FreezeRequest(Body):
    """Hold the table as it is."""

    reason: Reason = ""


class RollbackRequest(Body):
    """Publish an earlier generation again, and hold it."""

    generation: Count = Field(examples=[7])
    reason: Reason = ""


class FreezeView(BaseModel):
    """Whether the table is held, and since when, by whom, why."""

    frozen: bool
    generation: int | None = Field(default=None, description="The generation that is held.")
    at: datetime | None = None
    who: str | None = None
    why: str | None = None
