"""How the balancer's daemons take their settings: flags, environment, TOML file, defaults, in this order."""

import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class SettingsError(Exception):
    """The settings do not make sense; says which and why."""


def prefixed(prefix: str, program: str) -> SettingsConfigDict:
    """Configure a settings class."""
    return SettingsConfigDict(
        env_prefix=prefix,
        cli_prog_name=program,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        extra="forbid",
    )


class DaemonSettings(BaseSettings):
    """Base of the settings of a daemon."""

    config: Path | None = Field(default=None, description="TOML file with these settings")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # what `from_arguments` passes in is the file, the weakest; the flags come first by themselves
        return env_settings, init_settings

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Self:
        """Read the settings; SettingsError names each one that is wrong."""
        flags = CliSettingsSource[Any](cls, cli_parse_args=arguments)
        try:
            config = flags().get("config") or cls._environment_config()
            file = TomlConfigSettingsSource(cls, Path(config))() if config else {}
            if config and not Path(config).is_file():
                raise SettingsError(f"config: no such file: {config}")
            return cls(_cli_settings_source=flags, **file)
        except ValidationError as error:
            raise SettingsError("; ".join(_line(each) for each in error.errors())) from None

    @classmethod
    def _environment_config(cls) -> str | None:

        return os.environ.get(f"{cls.model_config.get('env_prefix', '')}CONFIG")


def _line(error: Any) -> str:
    name = "--" + "-".join(str(part) for part in error["loc"]).replace("_", "-") if error["loc"] else ""
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
