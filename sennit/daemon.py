"""What the daemons' subcommands share: read typed settings from flags, environment and a TOML file."""

import sys
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsError

from sennit.errors import CommandError, ExitStatus

Settings = TypeVar("Settings", bound=BaseSettings)


def settings_from(model: type[Settings], command: str, arguments: list[str]) -> Settings:
    """Build the settings of `sennit COMMAND`: flags, then environment, then `--config FILE`, then defaults.

    Raises `CommandError` that names the field.
    """
    arguments, from_file = _take_config(arguments)

    for name in from_file:
        if name not in model.model_fields:
            raise CommandError(f"the configuration has an unknown setting: {name}", status=ExitStatus.USAGE)

    class FromCommandLine(model):  # type: ignore[valid-type,misc]
        __doc__ = model.__doc__
        model_config = model.model_config | {"cli_prog_name": f"sennit {command}"}

        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> tuple[Any, ...]:
            # what is passed in below is the file, the weakest; flags come before all by themselves
            return sources["env_settings"], sources["init_settings"]

    try:
        made: Settings = CliApp.run(FromCommandLine, cli_args=arguments, **from_file)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        raise CommandError(
            f"{name}: {first['msg']}", hint=f"`sennit {command} --help`", status=ExitStatus.USAGE
        ) from None
    except SettingsError as error:
        raise CommandError(str(error), hint=f"`sennit {command} --help`", status=ExitStatus.USAGE) from None
    return made


def _take_config(arguments: list[str]) -> tuple[list[str], dict[str, Any]]:
    if "--config" not in arguments:
        return arguments, {}
    at = arguments.index("--config")
    try:
        path = Path(arguments[at + 1])
        return arguments[:at] + arguments[at + 2 :], tomllib.loads(path.read_text())
    except IndexError:
        raise CommandError("--config needs a file", status=ExitStatus.USAGE) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"--config: {error}", status=ExitStatus.USAGE) from None


def log_to_stderr() -> None:
    """One line an event on standard error: time, level, logger, text."""
    import logging

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
