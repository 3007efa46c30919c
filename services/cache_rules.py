"""Cache rules of a service: in order, and the first that matches path and method counts."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.values import Boolean, CookieName, FieldName, Part, PathGlob, Seconds, Text


class QueryKey(StrEnum):
    """Which parameters of the query are in the cache key."""

    ALL = "all"
    NONE = "none"
    ALLOW = "allow"
    DENY = "deny"


class CacheKey(Part):
    """What beside host and path tells responses apart. What is not in the key still goes to the origin."""

    query: QueryKey = QueryKey.ALL
    parameters: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    headers: Annotated[tuple[FieldName, ...], Field(max_length=16)] = ()
    cookies: Annotated[tuple[CookieName, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        if bool(self.parameters) != (self.query in (QueryKey.ALLOW, QueryKey.DENY)):
            raise ValueError("parameters: given with query allow or deny, and only then")
        return self


class Lifetimes(Part):
    """Freshness in seconds: `override` replaces what the origin says, `default` stands where it says nothing."""

    override: Seconds | None = None
    default: Seconds | None = None
    negative: Seconds | None = Field(
        default=None, description="Of 404, 405, 410, 414 and 501 without their own."
    )
    stale_while_revalidate: Seconds | None = None
    stale_if_error: Seconds | None = None

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.override is not None and self.default is not None:
            raise ValueError("override and default exclude each other")
        return self


class CacheRule(Part):
    """One rule."""

    path: PathGlob = Field(default="/*", examples=["/images/*"])
    methods: Annotated[tuple[Literal["GET", "HEAD"], ...], Field(min_length=1)] = ("GET", "HEAD")
    bypass: Boolean = Field(default=False, description="Neither answered from the store nor stored.")
    lifetimes: Lifetimes = Lifetimes()
    key: CacheKey = CacheKey()
    client_directives: Boolean = Field(
        default=True, description="Whether no-cache, no-store and max-age of a request count."
    )

    @model_validator(mode="after")
    def _check_bypass(self) -> Self:
        if self.bypass and (self.lifetimes != Lifetimes() or self.key != CacheKey()):
            raise ValueError("bypass: has neither lifetimes nor key")
        return self
