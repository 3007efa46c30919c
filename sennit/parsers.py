"""The parser of each subcommand, and of all together: for completion, man pages and the reference."""

import argparse
import importlib
from pathlib import Path
from typing import Any

import shtab

from sennit.commands import command_modules


def command_names() -> list[str]:
    """Return the names of all subcommands, in alphabetical order."""
    return list(command_modules())


def command_parser(name: str) -> argparse.ArgumentParser:
    """Build one subcommand's parser. Raises ModuleNotFoundError where what the command needs is not installed."""
    parser: argparse.ArgumentParser = importlib.import_module(command_modules()[name]).build_parser()
    return parser


def installed_commands() -> argparse.ArgumentParser:
    """Build one parser of every subcommand that can run here, with what to complete for files and folders."""
    whole = argparse.ArgumentParser(prog="sennit")
    whole.add_argument("--version", action="store_true", help="print the version")
    commands: Any = whole.add_subparsers(metavar="COMMAND")
    for name in command_names():
        try:
            parser = command_parser(name)
        except ModuleNotFoundError:
            continue  # a smaller installation, such as the client alone
        commands.add_parser(name, help=(parser.description or "").partition("\n")[0])
        commands.choices[name] = parser
        _complete_files(parser)
    return whole


def _complete_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _complete_files(below)
        elif action.type is Path or "Path" in str(action.metavar):
            folder = str(action.metavar) in ("DIR", "FOLDER") or action.dest in ("state", "bpffs")
            action.complete = shtab.DIRECTORY if folder else shtab.FILE  # type: ignore[attr-defined]
