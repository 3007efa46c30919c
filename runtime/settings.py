"""Settings of the daemons: flags, then environment, then the TOML file of `--config`, then defaults."""

import argparse
import os
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict, SettingsError

from runtime.errors import CommandError, ExitStatus


def settings_config(prefix: str, program: str) -> SettingsConfigDict:
    """Return the configuration of a settings class: `prefix` of its environment variables, `program` of its help."""
    return SettingsConfigDict(
        env_prefix=prefix,
        cli_prog_name=program,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_exit_on_error=False,
        extra="forbid",
    )


class DaemonSettings(BaseSettings):
    """Base class of the settings of a daemon."""

    config: Path | None = Field(default=None, description="TOML file with these settings")
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="log messages of this level and above: debug, info, warning or error",
    )

    @classmethod
    def argument_parser(cls) -> argparse.ArgumentParser:
        """Build the parser of the flags alone: for man pages and shell completion."""
        parser: argparse.ArgumentParser = CliSettingsSource[Any](cls).root_parser
        prefix = cls.model_config.get("env_prefix")
        parser.epilog = (
            f"Each option is also a key of the TOML file of --config, and an environment variable: --log-level is"
            f" log_level and {prefix}LOG_LEVEL. Options override the environment, which overrides the file."
        )
        return parser

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Self:
        """Read the settings. Raises `CommandError` that names each invalid one."""

        class FromArguments(cls):  # type: ignore[valid-type,misc]
            __doc__ = cls.__doc__

            @classmethod
            def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> tuple[Any, ...]:
                # the keyword arguments below are the file, of lowest precedence; pydantic puts flags first
                return sources["env_settings"], sources["init_settings"]

        try:
            flags = CliSettingsSource[Any](FromArguments, cli_parse_args=arguments)
            named = flags().get("config") or os.environ.get(f"{cls.model_config.get('env_prefix')}CONFIG")
            made: Self = FromArguments(_cli_settings_source=flags, **_read_config_file(named))
        except ValidationError as error:
            raise _usage_error(cls, "; ".join(_format_error(each) for each in error.errors())) from None
        except (SettingsError, ValueError) as error:
            raise _usage_error(cls, str(error)) from None
        return made


def _read_config_file(name: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(name).read_text()) if name else {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"--config: {error}") from None


def _usage_error(settings: type[BaseSettings], text: str) -> CommandError:
    hint = f"`{settings.model_config.get('cli_prog_name')} --help`"
    return CommandError(text, hint=hint, status=ExitStatus.USAGE)


def _format_error(error: Any) -> str:
    name = "--" + "-".join(str(part) for part in error["loc"]).replace("_", "-") if error["loc"] else ""
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
