"""What a service changes on the way: header fields, redirects, content codings."""

import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from services.values import FieldName, FieldValue, Number, Part, PathGlob, Text

# framing, recipient and what the edge itself says: no rule touches them
PROTECTED_FIELDS = frozenset(
    {"accept-encoding", "age", "cache-status", "cdn-loop", "connection", "content-encoding", "content-length"}
    | {
        "content-range",
        "date",
        "expect",
        "forwarded",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
    }
    | {"if-range", "if-unmodified-since", "range", "traceparent", "tracestate", "x-request-id"}
    | {"keep-alive", "sennit-session", "te", "trailer", "transfer-encoding", "upgrade", "via"}
    | {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)


_MEDIA_RANGE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/(?:[A-Za-z0-9!#$&^_.+-]+|\*)", re.ASCII)
_PLACEHOLDER = re.compile(r"\{path\}|\{query\}")
# no path that a client chooses may become a host
_REDIRECT_TARGET = re.compile(
    r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?((/|\?|#|\{path\}|\{query\})[!-~]*)?|/([!-.0-\[\]-z|~][!-~]*|\{query\})?",
    re.ASCII,
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

    @model_validator(mode="after")
    def _check_value(self) -> Self:
        if self.action is FieldAction.REMOVE and self.value:
            raise ValueError("value: not with the action remove")
        return self


class FieldRules(Part):
    """Changes in order, of requests to the origin and of responses to clients."""

    origin: Annotated[tuple[FieldRule, ...], Field(max_length=64)] = ()
    client: Annotated[tuple[FieldRule, ...], Field(max_length=64)] = ()


def _parse_redirect_target(text: str) -> str:
    if _REDIRECT_TARGET.fullmatch(text) is None or re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        raise ValueError(
            "a redirect leads to http://HOST… or https://HOST…, or to a path that begins with / and a literal "
            "character; {path} and {query} are the only placeholders, and none is in the host"
        )
    return text


RedirectTarget = Annotated[Text, AfterValidator(_parse_redirect_target)]


class Redirect(Part):
    """Answer a path with a redirect. In `to`, `{path}` and `{query}` stand for the request's (`?` included)."""

    path: PathGlob = Field(examples=["/old/*"])
    to: RedirectTarget = Field(examples=["https://www.example.org{path}{query}"])
    status: Literal[301, 302, 303, 307, 308] = 308


class Coding(StrEnum):
    """Content codings, in the edge's order of preference."""

    BROTLI = "br"
    ZSTD = "zstd"
    GZIP = "gzip"


def _parse_media_range(text: str) -> str:
    if _MEDIA_RANGE.fullmatch(text) is None:
        raise ValueError("a media type is TYPE/SUBTYPE or TYPE/*, without parameters")
    return text.lower()


MediaRange = Annotated[Text, AfterValidator(_parse_media_range)]


class Compression(Part):
    """Compress what the origin sent uncompressed. Stored once a coding."""

    codings: Annotated[tuple[Coding, ...], Field(min_length=1)] = (Coding.BROTLI, Coding.ZSTD, Coding.GZIP)
    types: Annotated[tuple[MediaRange, ...], Field(min_length=1, max_length=64)] = (
        "text/*",
        "application/javascript",
        "application/json",
        "image/svg+xml",
    )
    minimum_bytes: Annotated[int, Field(ge=0), Number] = 1024
    maximum_bytes: Annotated[int, Field(ge=1, le=1 << 30), Number] = 16 << 20

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.minimum_bytes > self.maximum_bytes:
            raise ValueError("minimum_bytes: more than maximum_bytes")
        if len(set(self.codings)) < len(self.codings):
            raise ValueError("codings: one is named twice")
        return self
