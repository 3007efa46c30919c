"""Bodies about purges: what edges must drop from their caches, or serve stale while they validate it."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StrictBool, model_validator

from balancer.api.schemas import Body, Reason
from smkex.http.semantics.authority import Authority
from smkex.http.semantics.targets import parse_url

TARGET_LIMIT = 8192  # octets of a target that edges accept
URL_LIMIT = TARGET_LIMIT + 272  # and a scheme, and a host with a port
SCOPES = ("url", "tag", "prefix", "host", "service", "everything")


def canonical_url(text: str) -> str:
    """Return a URL as edges store it. Raises `ValueError` for one that no client can have requested."""
    scheme = text.partition("://")[0].lower()
    if scheme not in ("http", "https", "smkex"):
        raise ValueError("begin with https://, http:// or smkex://, as clients do")
    authority, target = parse_url(text)
    if not authority.host:
        raise ValueError("the URL has no host: edges store responses by host and target")
    if len(target) > TARGET_LIMIT:
        raise ValueError(
            f"edges refuse targets above {TARGET_LIMIT} octets, so nothing is stored under this one"
        )
    return f"{scheme}://{authority}{target.decode('ascii')}"


def canonical_prefix(text: str) -> str:
    """Return a prefix of URLs as edges store them. Raises `ValueError`."""
    if "?" in text or "#" in text:
        raise ValueError("a prefix ends within the path: leave out the query and the fragment")
    return canonical_url(text)


def canonical_host(text: str) -> str:
    """Return a host name or address. Raises `ValueError`."""
    if "*" in text:
        raise ValueError("a host has no wildcard: purge the service, or each host")
    authority = parse_url(f"https://{text}/")[0] if "/" not in text else Authority("")
    if not authority.host or authority.port is not None:
        raise ValueError("give the host alone, without scheme, port and path")
    return authority.host


Url = Annotated[
    str,
    Field(max_length=URL_LIMIT, description="As a client asks for it, in any spelling."),
    AfterValidator(canonical_url),
]
Tag = Annotated[
    str, Field(pattern=r"^[!-~]+$", max_length=128, description="As Cache-Tag or Surrogate-Key names it.")
]
Prefix = Annotated[
    str,
    Field(max_length=URL_LIMIT, description="What URLs begin with, within the path."),
    AfterValidator(canonical_prefix),
]
Host = Annotated[
    str, Field(max_length=255, description="All of a host, on any port."), AfterValidator(canonical_host)
]
ServiceScope = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="All of a service; `default` is that of edges without services.",
    ),
]


class PurgeRequest(Body):
    """Drop one URL, or everything with a tag, below a prefix, of a host, of a service, or all."""

    url: Url | None = Field(default=None, examples=["https://cdn.example/logo.png"])
    tag: Tag | None = None
    prefix: Prefix | None = None
    host: Host | None = None
    service: ServiceScope | None = None
    everything: StrictBool = False
    soft: StrictBool = Field(
        default=False, description="Serve it stale for a minute at most, while it is validated."
    )
    reason: Reason = ""

    @model_validator(mode="after")
    def _one_scope(self) -> "PurgeRequest":
        if sum(bool(getattr(self, name)) for name in SCOPES) != 1:
            raise ValueError("url: give exactly one of url, tag, prefix, host, service and everything")
        return self

    def describe(self) -> str:
        """Return what is purged, for the audit log."""
        named = {name: getattr(self, name) for name in ("tag", "prefix", "host", "service")}
        scope = next((f"{name} {value}" for name, value in named.items() if value), self.url or "everything")
        return f"{scope}, soft" if self.soft else scope


class PurgeView(BaseModel):
    """One purge; ids grow. One of url, tag, prefix, host, service and everything is given."""

    id: int
    url: str | None
    tag: str | None
    at: datetime
    prefix: str | None = None
    host: str | None = None
    service: str | None = None
    everything: bool = False
    soft: bool = False


class PurgePage(BaseModel):
    """Purges by id; `next` is the `after` of the following page."""

    items: list[PurgeView]
    next: int | None = None
    missed: bool = Field(
        default=False,
        description="Whether purges behind `after` are no longer kept: an edge then drops everything.",
    )


class PurgeProgress(BaseModel):
    """How many of the live edges have applied a purge."""

    id: int
    edges: int = Field(description="Live edges with a cache.")
    done: int
    waiting: list[int] = Field(description="Ids of edges that have not, a hundred at most.")
