"""The origins of a service: where they are, how they are asked, when they count as failed."""

from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from services.values import Boolean, Host, Label, Number, Part, PathGlob, SecretName, Text, Timeout
from smkex.http.semantics.authority import Authority


class OriginGroup(StrEnum):
    """Backups are asked only while no primary is healthy."""

    PRIMARY = "primary"
    BACKUP = "backup"


class Balancing(StrEnum):
    """How an origin of a group is chosen: by weights, or so that one URL always asks the same one."""

    WEIGHTED = "weighted"
    HASH_URL = "hash-url"


def _parse_origin_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "an origin is http://HOST[:PORT][/PATH] or https://…, without user, query and fragment"
        )
    authority = Authority.parse(parts.netloc)
    if not authority.host:
        raise ValueError("the URL has no host")
    # an authority leaves out both 80 and 443: each is the default of one scheme only
    other = {"http": 443, "https": 80}[parts.scheme]
    port = f":{other}" if parts.port == other else ""
    return f"{parts.scheme}://{authority}{port}{parts.path.rstrip('/')}"


OriginUrl = Annotated[str, Field(max_length=2048), AfterValidator(_parse_origin_url)]


class OriginTls(Part):
    """TLS towards an origin with an https URL."""

    verify: Boolean = Field(
        default=True, description="Whether its certificate must be valid for the server name."
    )
    ca: Text | None = Field(
        default=None, max_length=65_536, description="Authorities (PEM); default: the usual ones."
    )
    server_name: Host | None = Field(default=None, description="Default: the host of the URL.")
    client_certificate: Text | None = Field(default=None, max_length=65_536, description="Chain (PEM).")
    client_key: SecretName | None = Field(default=None, description="Secret with its private key (PEM).")

    @model_validator(mode="after")
    def _check_client_certificate(self) -> Self:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key go together")
        return self


class HealthCheck(Part):
    """Active checks by every worker: `fall` failures in a row make an origin ill, `rise` successes well again."""

    path: PathGlob = "/"
    status: int = Field(default=200, ge=100, le=599, description="The status of a healthy origin.")
    interval: Timeout = 10.0
    timeout: Timeout = 2.0
    rise: int = Field(default=2, ge=1, le=100)
    fall: int = Field(default=3, ge=1, le=100)


class Ejection(Part):
    """Passive: an origin that fails `failures` requests in a row is not asked for `seconds`."""

    failures: int = Field(default=5, ge=1, le=10_000)
    seconds: Timeout = 10.0


class Origin(Part):
    """One origin server."""

    name: Label = Field(examples=["eu"])
    url: OriginUrl = Field(examples=["https://origin.example:8443"])
    weight: Annotated[int, Field(ge=1, le=1000), Number] = 1
    group: OriginGroup = OriginGroup.PRIMARY
    host: Host | None = Field(default=None, description="Sent as Host; default: the client's.")
    tls: OriginTls = OriginTls()
    connect_timeout: Timeout = 3.0
    response_timeout: Timeout = Field(
        default=30.0, description="Until the head, and between parts of the body."
    )
    connections: Annotated[int, Field(ge=1, le=10_000), Number] = 128
    health: HealthCheck | None = Field(default=None, description="Default: no active checks.")
    ejection: Ejection = Ejection()
    proxy_protocol: Boolean = Field(
        default=False,
        description="Whether PROXY protocol v2 goes first on each connection, which then is for one request only.",
    )

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.tls != OriginTls() and not self.url.startswith("https://"):
            raise ValueError("tls: the URL is not https")
        return self


class Retry(Part):
    """An idempotent request goes to another origin when one fails, before anything was sent to the client."""

    attempts: Annotated[int, Field(ge=1, le=16), Number] = Field(
        default=3, description="Origins that one request is sent to, at most; 1: no retry."
    )
    deadline: Timeout = Field(default=60.0, description="Until the head, all attempts together.")


class Shield(Part):
    """Misses go to one edge of this site, the same for one key, which asks the origin; directly when that fails."""

    site: Label
