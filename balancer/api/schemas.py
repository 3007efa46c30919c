"""Bodies of the control plane's REST API, with their limits; says nothing about how they are stored."""

from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from balancer.api.applied_services import AppliedReport
from balancer.api.figures import FiguresReport
from balancer.api.health import EdgeHealthView, ForwardRate, PeerReport, Text, WithdrawalGrant
from balancer.api.numbers import Count, Whole
from balancer.api.origins import OriginsReport
from balancer.model.table import MAXIMUM_WEIGHT, EdgeState, Encapsulation, edge_from_json
from node.state.desired_state import AdminState, DrainPhase
from node.vip import MAXIMUM_EDGE_ID, Locator, Replies, vip_from_json

Name = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="A DNS label.", examples=["edge1"]),
]
EdgeName = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
        description="A host name, or its first label.",
        examples=["edge1"],
    ),
]
EdgeId = Annotated[
    int, Field(ge=1, le=MAXIMUM_EDGE_ID, description="Unique in the CDN.", examples=[1]), Whole
]
Weight = Annotated[
    int,
    Field(ge=0, le=MAXIMUM_WEIGHT, description="Its share of its site's first subflows.", examples=[2]),
    Whole,
]
Port = Annotated[int, Field(ge=1, le=65_535), Whole]
Generation = Count


def _text_only(value: object) -> object:
    """Refuse numbers as addresses."""
    if isinstance(value, int):
        raise ValueError("not an address")
    return value


AddressV4 = Annotated[IPv4Address, BeforeValidator(_text_only)]
AddressV6 = Annotated[IPv6Address, BeforeValidator(_text_only)]
TunnelV4 = Annotated[
    AddressV4 | None, Field(description="Where other edges send its packets.", examples=["10.255.0.1"])
]
TunnelV6 = Annotated[AddressV6 | None, Field(examples=["fd00:255::1"])]
PeerKey = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z0-9+/]{43}=$",
        description="Verifies its agent's answers to other agents (Ed25519, base64).",
        examples=["A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="],
    ),
]
Instance = Annotated[
    str | None,
    Field(
        pattern=r"^[0-9a-f]{16}-[0-9a-f]{16}$",
        description="Of the agent: a hash of its host's boot, and a random part of each start.",
        examples=["0123456789abcdef-fedcba9876543210"],
    ),
]
Reason = Annotated[
    str,
    Field(max_length=200, description="Why, for the audit log.", examples=["the host gets a new kernel"]),
]


def _address_text(address: IPv4Address | IPv6Address | None) -> str | None:
    return str(address) if address else None


class Health(StrEnum):
    """An edge's report of its own health."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


def _add_example(schema: dict[str, Any]) -> None:
    """Make the body's example for the OpenAPI document from its fields' examples."""
    fields = schema.get("properties", {})
    schema["examples"] = [
        {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
    ]


class Body(BaseModel):
    """A body that a client sends: unknown fields are refused, so that a typing error is not ignored."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_add_example)

    @field_validator("*", mode="after")
    @classmethod
    def _refuse_nul(cls, value: object) -> object:
        """Refuse NUL in texts, which PostgreSQL does not store."""
        texts = value if isinstance(value, list) else (value,)
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ValueError("must not contain NUL")
        return value


class VipBody(Body):
    """An anycast service address."""

    name: Name = Field(examples=["main"])
    v4: AddressV4 | None = Field(default=None, examples=["203.0.113.1"])
    v6: AddressV6 | None = Field(default=None, examples=["2001:db8::1"])
    service_port: Port = Field(default=443, description="Where first subflows go.")
    locator: Locator = Field(
        default=Locator.PORT,
        description="How a secondary subflow carries the edge id: in the port, in the address' low bits, or in the port"
        " over IPv4 and in the address over IPv6.",
    )
    id_port_base: Port = Field(
        default=10_000, description="Edge N has the port id_port_base + N. Unused with address locators."
    )
    replies: Replies = Field(
        default=Replies.SYMMETRIC,
        description="On forwarded subflows: through the ingress edge, or by the owner's own uplink.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "VipBody":
        vip_from_json(self.model_dump(mode="json"))  # what a forwarder would refuse is refused here
        return self


class VipPage(BaseModel):
    """VIPs by name; `next` is the `after` of the following page."""

    items: list[VipBody]
    next: str | None = None


class EnrolmentTokenRequest(Body):
    """Ask for a one-time token with which one edge may enrol."""

    note: str = Field(default="", max_length=200, description="For people.", examples=["edge1 in site a"])
    expires_seconds: Annotated[int, Field(ge=10, le=30 * 86_400), Whole] = 3600
    edge_name: EdgeName | None = Field(
        default=None, description="When given, good for this name only.", examples=["edge1"]
    )
    edge_id: EdgeId | None = Field(default=None, description="When given, the edge gets this id.")
    replaces: StrictBool = Field(
        default=False,
        description="Gives the existing edge of `edge_name` a new credential: its disk is lost.",
    )

    @model_validator(mode="after")
    def _names_what_it_replaces(self) -> "EnrolmentTokenRequest":
        if self.replaces and (self.edge_name is None or self.edge_id is not None):
            raise ValueError("replaces: goes with edge_name, and without edge_id")
        return self


class EnrolmentToken(BaseModel):
    """A token as listed: never with its secret."""

    id: int
    note: str
    edge_name: str | None
    edge_id: int | None
    expires_at: datetime
    used_at: datetime | None


class NewEnrolmentToken(EnrolmentToken):
    """A token just made; `token` is shown here and never again."""

    token: str


class EnrolmentTokenPage(BaseModel):
    """Tokens by id; `next` is the `after` of the following page."""

    items: list[EnrolmentToken]
    next: int | None = None


class EdgeReport(Body):
    """Where an edge says that it is, and by which key its agent's answers are known."""

    tunnel_v4: TunnelV4 = None
    tunnel_v6: TunnelV6 = None
    outside: AddressV4 | AddressV6 | None = Field(
        default=None,
        description="Where other agents ask its agent beside the backbone.",
        examples=["192.0.2.7"],
    )
    peer_key: PeerKey = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.tunnel_v4 is None and self.tunnel_v6 is None:
            raise ValueError("tunnel_v4: an edge needs a tunnel address (tunnel_v4 or tunnel_v6)")
        edge_from_json({"id": 1, "name": "edge", "state": "up", **self.values()})
        return self

    def values(self) -> dict[str, str | None]:
        """Return the four fields as they are stored and published."""
        addresses = {name: getattr(self, name) for name in ("tunnel_v4", "tunnel_v6", "outside")}
        return {name: _address_text(value) for name, value in addresses.items()} | {"peer_key": self.peer_key}


class PendingReport(EdgeReport):
    """What an enrolled edge reports that differs from what is accepted: not published until an operator accepts it."""

    reported_at: datetime


class EnrolRequest(EdgeReport):
    """Enrolment of an edge.

    The edge chooses its credential and sends only the SHA-256 of it: an answer lost on the way costs nothing,
    since the same request again gives the same edge.
    """

    name: EdgeName
    site: Name = Field(examples=["a"])
    vip: Name | None = Field(default=None, description="Needed only where there are several VIPs.")
    instance: Instance = None
    credential_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Of the credential it will show.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )


class LeaseView(BaseModel):
    """An edge's lease as the control plane holds it in memory."""

    health: Health
    reasons: list[str]
    applied_generation: int | None
    expires_in: float = Field(description="Seconds.")
    announcing: bool = Field(description="Whether it lets BIRD announce the VIP.")
    granted: bool = Field(default=False, description="Whether it may be withdrawn for a soft failure.")
    sessions: int | None = Field(default=None, description="Sessions that it serves.")
    forwards: list[ForwardRate] = Field(default=[], description="What it sends through tunnels, the busiest.")
    drain: DrainPhase | None = Field(default=None, description="How far its drain has come.")


class EdgeView(BaseModel):
    """One edge: its admin state, its reports, and its state in the forwarding table."""

    id: EdgeId
    name: str
    site: str
    tunnel_v4: IPv4Address | None
    tunnel_v6: IPv6Address | None
    outside: IPv4Address | IPv6Address | None = Field(
        default=None, description="Where other agents ask its agent beside the backbone."
    )
    peer_key: str | None = Field(default=None, description="Verifies its agent's answers (Ed25519, base64).")
    pending: PendingReport | None = Field(
        default=None, description="What it reports now, until an operator accepts or refuses it."
    )
    vip: str
    weight: Weight
    encapsulation: Encapsulation = Field(description="What tunnels to it look like.")
    admin_state: AdminState
    state: EdgeState = Field(description="In the forwarding table.")
    health: EdgeHealthView
    enrolled_at: datetime
    lease: LeaseView | None = Field(default=None, description="None: not heard of lately.")


class EdgePage(BaseModel):
    """Edges by id; `next` is the `after` of the following page."""

    items: list[EdgeView]
    next: int | None = None


class Enrolment(BaseModel):
    """The answer to an enrolment."""

    edge: EdgeView
    vip: VipBody
    lease_seconds: float
    table_key: str = Field(description="The key that signs tables (Ed25519, base64): it never changes.")


class EdgePatch(Body):
    """Change an edge; absent fields stay."""

    admin_state: AdminState | None = Field(default=None, examples=["draining"])
    site: Name | None = Field(default=None, examples=["b"])
    weight: Weight | None = None
    encapsulation: Encapsulation | None = Field(default=None, description="What tunnels to it look like.")
    reason: Reason = ""


Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["03a107bff3ce10be"])]


class LeaseRequest(Body):
    """One heartbeat. Members that this version does not know, of a newer agent, are ignored and counted."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_add_example)

    health: Health = Field(examples=["ok"])
    reasons: list[Text] = Field(default=[], max_length=16)
    applied_generation: Generation | None = Field(
        default=None, description="What its forwarder has applied.", examples=[7]
    )
    announcing: StrictBool = Field(default=False, description="Whether it lets BIRD announce the VIP.")
    withdraw: StrictBool = Field(
        default=False, description="It has a soft failure, and asks for a grant to withdraw (or to stay so)."
    )
    peers: list[PeerReport] = Field(default=[], max_length=16, description="Which other edges it reaches.")
    sessions: Count | None = Field(default=None, description="Sessions that it serves.")
    forwards: list[ForwardRate] = Field(
        default=[], max_length=64, description="What it sends through tunnels, the busiest."
    )
    drain: DrainPhase | None = Field(default=None, description="How far its drain has come.")
    applied_purge: Count | None = Field(
        default=None, description="The newest purge that its cache has applied.", examples=[4]
    )
    figures: FiguresReport | None = Field(
        default=None, description="What services did since the last heartbeat that was answered."
    )
    services: AppliedReport | None = Field(default=None, description="What its edge server has in force.")
    origins: OriginsReport | None = Field(default=None, description="What it knows of the services' origins.")
    table_keys: list[Fingerprint] = Field(
        default=[], max_length=2, description="The keys by which it believes tables: their first 16 digits."
    )
    instance: Instance = None

    @property
    def is_well(self) -> bool:
        """Return whether it announces and reports no failure."""
        return self.announcing and not self.withdraw and self.health is Health.OK

    def drop_unknown_members(self) -> int:
        """Forget members that this version does not know; return how many there were."""
        unknown = self.model_extra or {}
        count = len(unknown)
        unknown.clear()
        return count


class LeaseGrant(BaseModel):
    """The answer to a heartbeat."""

    lease_seconds: float
    admin_state: AdminState
    generation: int = Field(description="Of the newest forwarding table.")
    newest_purge: int = Field(default=0, description="The id of the newest purge.")
    newest_fast_open_key: int = Field(default=0, description="The id of the newest Fast Open key; 0: none.")
    may_announce: bool = Field(
        default=True,
        description="Whether nearly all live forwarders send it its subflows. An edge that announces goes on.",
    )
    watched_services: list[str] = Field(default=[], description="Whose counts the next heartbeat names.")
    grant: WithdrawalGrant | None = Field(
        default=None, description="The grant, if it asked to withdraw and may. None: it may not."
    )


class TraceEdge(BaseModel):
    """An edge as the forwarding table has it."""

    id: EdgeId
    name: str
    state: EdgeState
    tunnel_v4: IPv4Address | None


class TraceView(BaseModel):
    """What the edge where a packet enters the CDN does with it."""

    ingress: TraceEdge
    reason: str = Field(description="As the forwarder counts it.", examples=["forwarded"])
    meaning: str = Field(examples=["locator of another edge: through the tunnel to its owner"])
    to: TraceEdge | None = Field(description="The owner that it is forwarded to.")
    generation: int


class HealthView(BaseModel):
    """Whether the control plane works."""

    status: Literal["ok"]
    generation: int


class FieldError(BaseModel):
    """One reason for a refusal and where it lies."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(examples=["urn:sennit:problem:edge-name-taken"])
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []
