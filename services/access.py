"""Who may use a service, and how much: prefixes, signed URLs (RFC 9246), rates, and how sessions are made."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.values import Boolean, Number, Part, Prefix, SecretName


class SignedUrls(Part):
    """Requests need a token of RFC 9246 (URISigning), signed with one of these keys."""

    issuers: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)] = Field(
        examples=[["https://shop.example"]]
    )
    keys: Annotated[tuple[SecretName, ...], Field(min_length=1, max_length=16)] = Field(
        description="Secrets with a JSON Web Key each."
    )


class Access(Part):
    """Client addresses and tokens. The most specific prefix of either list counts; without `allow`, all are allowed."""

    allow: Annotated[tuple[Prefix, ...], Field(max_length=10_000)] = ()
    deny: Annotated[tuple[Prefix, ...], Field(max_length=10_000)] = ()
    signed_urls: SignedUrls | None = None

    @model_validator(mode="after")
    def _check_prefixes(self) -> Self:
        both = set(self.allow) & set(self.deny)
        if both:
            raise ValueError(f"allow and deny: both have {min(map(str, both))}")
        return self


class Limits(Part):
    """Rates that are answered with 429 and Retry-After, and the bandwidth of a session."""

    requests_per_second: Annotated[float, Field(gt=0, le=1e6), Number] | None = Field(
        default=None, description="From one client prefix (/32 or /64)."
    )
    burst: Annotated[int, Field(ge=1, le=1_000_000), Number] = 100
    session_bytes_per_second: Annotated[int, Field(ge=4096), Number] | None = None


class Required(Part):
    """What a session must be: others are answered with 403, and with Abort in a handshake of kind tcp."""

    modes: Annotated[tuple[Literal["opportunistic", "tofu", "mtls"], ...], Field(max_length=3)] = Field(
        default=(), description="Empty: every mode."
    )
    both_paths: Boolean = Field(default=False, description="The second path must be confirmed.")


class Log(Part):
    """The access log of the service."""

    sample: Annotated[float, Field(ge=0, le=1), Number] = Field(
        default=1.0, description="Share of requests logged."
    )
