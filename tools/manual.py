"""The commands of `sennit` as data, read from their parsers: what man pages and the site's reference are made of."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from sennit.parsers import command_names, command_parser

# how the settings of daemons name their types
VALUES = {
    "Path": "FILE",
    "str": "TEXT",
    "int": "N",
    "float": "NUMBER",
    "IPv4Address": "ADDRESS",
    "IPv6Address": "ADDRESS",
}
NO_DEFAULT = (" (default: None)", " (default: )")
MANY = 10  # options in a usage line


@dataclass(frozen=True, slots=True)
class Option:
    """An option or a positional argument: how it is written, and its help."""

    written: str
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand, or one of its actions."""

    name: str
    summary: str
    description: str
    usage: str
    options: tuple[Option, ...]
    actions: "tuple[Command, ...]"


def all_commands() -> Iterator[Command]:
    """Read every subcommand, in alphabetical order."""
    for name in command_names():
        yield read_command(command_parser(name))


def read_command(parser: argparse.ArgumentParser, summary: str = "") -> Command:
    """Read one parser, and the parsers of its actions."""
    first, _, rest = (parser.description or summary).strip().partition("\n")
    formatter = parser._get_formatter()
    options: list[Option] = []
    actions: list[Command] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            actions += [read_command(each, helps.get(name, "")) for name, each in action.choices.items()]
        elif action.help != argparse.SUPPRESS:
            options.append(Option(_written(action), _help(action, formatter)))
    return Command(
        name=parser.prog,
        summary=(summary or first).rstrip("."),
        description="\n".join(filter(None, [rest.strip() if not summary else "", parser.epilog or ""])),
        usage=_usage(parser),
        options=tuple(options),
        actions=tuple(actions),
    )


def _usage(parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    if sum(bool(action.option_strings) for action in parser._actions) <= MANY:
        return usage
    arguments = [
        _written(action) + ("..." if action.nargs in ("+", "*") else "")
        for action in parser._actions
        if not action.option_strings
    ]
    return " ".join([parser.prog, "[OPTION]...", *arguments])


def _help(action: argparse.Action, formatter: argparse.HelpFormatter) -> str:
    text = formatter._expand_help(action) if action.help else ""
    if action.choices is not None and not action.option_strings:
        text = f"{text} (one of: {', '.join(map(str, action.choices))})".strip()
    for nothing in NO_DEFAULT:
        text = text.removesuffix(nothing)
    return text


def _written(action: argparse.Action) -> str:
    """Write an option as in `-o, --output FILE`, an argument as its name."""
    if action.metavar is not None:
        value = " ".join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar
        value = VALUES.get(value, value)
    elif action.choices is not None and action.option_strings:
        value = "{" + ",".join(str(choice) for choice in action.choices) + "}"
    else:
        value = action.dest.upper() if action.option_strings else action.dest
    if not action.option_strings:
        return value
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")
