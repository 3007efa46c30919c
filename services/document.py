"""The document of a service: what one revision of it says, validated whole; each fault names its field."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from services.access import Access, Limits, Log, Required
from services.cache_rules import CacheRule
from services.origins import Balancing, Origin, OriginGroup, Retry, Shield
from services.transforms import Compression, FieldRules, Redirect
from services.values import Boolean, Host, HostPattern, Number, Part, Port, Timeout

HOSTNAME_LIMIT = 1_000


class _Service(Part):
    hostnames: Annotated[tuple[HostPattern, ...], Field(min_length=1, max_length=HOSTNAME_LIMIT)] = Field(
        examples=[["www.example.org", "*.static.example.org"]]
    )
    required: Required = Required()
    access: Access = Access()
    limits: Limits = Limits()
    log: Log = Log()

    @model_validator(mode="after")
    def _check_hostnames(self) -> Self:
        if len(set(self.hostnames)) < len(self.hostnames):
            raise ValueError("hostnames: one is named twice")
        return self


class HttpService(_Service):
    """Sites in front of origins, cached."""

    kind: Literal["http"] = "http"
    origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=64)]
    balancing: Balancing = Balancing.WEIGHTED
    retry: Retry = Retry()
    shield: Shield | None = None
    cache: Annotated[tuple[CacheRule, ...], Field(max_length=256)] = ()
    headers: FieldRules = FieldRules()
    redirects: Annotated[tuple[Redirect, ...], Field(max_length=1_000)] = ()
    compression: Compression | None = None

    @model_validator(mode="after")
    def _check_origins(self) -> Self:
        if len({origin.name for origin in self.origins}) < len(self.origins):
            raise ValueError("origins: two have one name")
        if all(origin.group is OriginGroup.BACKUP for origin in self.origins):
            raise ValueError("origins: none is primary")
        return self


class TcpTarget(Part):
    """Where the streams of sessions go."""

    host: Host
    port: Port
    proxy_protocol: Boolean = Field(default=False, description="Whether PROXY protocol v2 goes first.")
    connect_timeout: Timeout = 3.0


class TcpService(_Service):
    """Any protocol over TCP: the stream of a session goes to a target as it is."""

    kind: Literal["tcp"]
    targets: Annotated[tuple[TcpTarget, ...], Field(min_length=1, max_length=16)]
    idle_timeout: Timeout = 3600.0
    connections: Annotated[int, Field(ge=1, le=1_000_000), Number] = 10_000


ServiceDocument = HttpService | TcpService


def _parse_kind(value: Any) -> Any:
    return {"kind": "http", **value} if isinstance(value, dict) else value


_DOCUMENT: TypeAdapter[ServiceDocument] = TypeAdapter(Annotated[ServiceDocument, Field(discriminator="kind")])


def parse_document(value: object) -> ServiceDocument:
    """Parse a document's JSON. Raises `pydantic.ValidationError`, whose errors name their fields."""
    return _DOCUMENT.validate_python(_parse_kind(value))
