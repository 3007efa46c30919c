"""What a service changes on the way: header fields, redirects, content codings."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

from services.values import FieldName, FieldValue, Number, Part, PathGlob, Text

# framing, recipient and what the edge itself says: no rule touches them
PROTECTED_FIELDS = frozenset(
    {"age", "cache-status", "cdn-loop", "connection", "content-length", "content-range", "forwarded", "host"}
    | {"keep-alive", "sennit-session", "te", "trailer", "transfer-encoding", "upgrade", "via"}
    | {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)


class FieldAction(StrEnum):
    """`set` replaces every field of the name, `add` appends one, `remove` takes every one away."""

    SET = "set"
    ADD = "add"
    REMOVE = "remove"


class FieldRule(Part):
    """One change of one header field."""

    action: FieldAction
    name: FieldName = Field(examples=["strict-transport-security"])
    value: FieldValue = Field(default="", examples=["max-age=31536000"])

    @field_validator("name")
    @classmethod
    def _check_protected(cls, name: str) -> str:
        if name in PROTECTED_FIELDS:
            raise ValueError(f"{name} is the edge's own")
        return name


class FieldRules(Part):
    """Changes in order, of requests to the origin and of responses to clients."""

    origin: Annotated[tuple[FieldRule, ...], Field(max_length=64)] = ()
    client: Annotated[tuple[FieldRule, ...], Field(max_length=64)] = ()


class Redirect(Part):
    """Answer a path with a redirect. In `to`, `{path}` and `{query}` stand for the request's (`?` included)."""

    path: PathGlob = Field(examples=["/old/*"])
    to: Text = Field(examples=["https://www.example.org{path}{query}"])
    status: Literal[301, 302, 303, 307, 308] = 308


class Coding(StrEnum):
    """Content codings, in the edge's order of preference."""

    BROTLI = "br"
    ZSTD = "zstd"
    GZIP = "gzip"


class Compression(Part):
    """Compress what the origin sent uncompressed. Stored once a coding."""

    codings: Annotated[tuple[Coding, ...], Field(min_length=1)] = (Coding.BROTLI, Coding.ZSTD, Coding.GZIP)
    types: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)] = (
        "text/*",
        "application/javascript",
        "application/json",
        "image/svg+xml",
    )
    minimum_bytes: Annotated[int, Field(ge=0), Number] = 1024
    maximum_bytes: Annotated[int, Field(ge=1, le=1 << 30), Number] = 16 << 20
