"""Settings of the origin server: flags, then SENNIT_ORIGIN_*, then the file of `--config`, then defaults."""

from pathlib import Path
from typing import Self

from pydantic import DirectoryPath, Field, FilePath, field_validator, model_validator

from origin.cache_rules import CacheRules
from runtime.settings import DaemonSettings, settings_config


class OriginSettings(DaemonSettings):
    """Serve a directory as the CDN's origin."""

    model_config = settings_config("SENNIT_ORIGIN_", "sennit origin")

    directory: DirectoryPath = Field(default=Path("."), description="directory to serve")
    listen: str = Field(default="127.0.0.1:8080", pattern=r"^.+:\d+$", description="ADDRESS:PORT")
    max_age: int = Field(default=60, ge=0, description="seconds in Cache-Control: max-age")
    cache_control: str = Field(
        default="",
        description="Cache-Control by path, 'GLOB=VALUE; GLOB=VALUE'; the first match applies",
    )
    cache_tags: str = Field(
        default="", description="Cache-Tag by path, for purges by tag: 'GLOB=TAG, TAG; GLOB=TAG'"
    )
    faults: bool = Field(
        default=False, description="enable fault injection at /.sennit/faults, from this host only"
    )

    tls_certificate: FilePath | None = Field(
        default=None, description="serve HTTPS with this certificate chain (PEM); needs --tls-key"
    )
    tls_key: FilePath | None = Field(default=None, description="private key of --tls-certificate (PEM)")

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("--tls-certificate and --tls-key go together")
        return self

    @field_validator("cache_control", "cache_tags")
    @classmethod
    def _rules(cls, value: str) -> str:
        CacheRules.parse(value, "")
        return value
