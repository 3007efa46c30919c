"""Write the man pages of `sennit`, one for each subcommand: `python tools/man_pages.py FOLDER`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from manual import Command, all_commands

from runtime.errors import ExitStatus
from smkex import build

STATUSES = {
    ExitStatus.OK: "success",
    ExitStatus.FAILURE: "another error, such as a file that cannot be written",
    ExitStatus.USAGE: "wrong usage",
    ExitStatus.REFUSED: "refused: an attack, or a path that fails its checks",
    ExitStatus.UNREACHABLE: "the edge or the control plane was not reached",
    ExitStatus.HTTP: "HTTP status of 400 or more",
    ExitStatus.BROKEN_OFF: "the transfer was broken off",
    ExitStatus.NOT_EXECUTABLE: "the program of `sennit run` cannot be executed",
    ExitStatus.NOT_FOUND: "the program of `sennit run` was not found",
    ExitStatus.INTERRUPTED: "interrupted",
}
FOOTER = 'Errors are one line "error:" on standard error, and where there is a remedy one line "hint:".'


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    commands = list(all_commands())
    written = {f"{_file_name(command)}.1": "\n".join(_page(command)) + "\n" for command in commands}
    return {"sennit.1": "\n".join(_overview(commands)) + "\n", **written}


def _overview(commands: list[Command]) -> Iterator[str]:
    yield from _head("sennit", "CDN edges that clients reach over two network paths")
    yield from [
        ".SH SYNOPSIS",
        r".B sennit",
        r"\fICOMMAND\fR [\fIARGUMENTS\fR]",
        ".br",
        r".B sennit \-\-version",
    ]
    yield from [".SH DESCRIPTION", "Every daemon, client and operator's tool of Sennit is a subcommand."]
    yield ".SH COMMANDS"
    for command in commands:
        yield from [".TP", rf"\fB{_text(_file_name(command))}\fR(1)", _text(command.summary)]
    yield from _statuses()
    yield from [".SH FILES", ".TP", r"\fI/etc/sennit\fR", "settings and keys of the daemons"]
    yield from [".TP", r"\fI/var/lib/sennit\fR", "the node's state folder"]
    yield from [".TP", r"\fI/opt/sennit/current/docs\fR", "the documentation, where a release is installed"]


def _page(command: Command) -> Iterator[str]:
    yield from _head(_file_name(command), command.summary)
    yield from [".SH SYNOPSIS", _text(command.usage)]
    yield from [".SH DESCRIPTION", _text(command.summary) + "."]
    yield from _paragraphs(command.description)
    if command.options:
        yield ".SH OPTIONS"
        yield from _options(command)
    if command.actions:
        yield ".SH ACTIONS"
        for action in command.actions:
            yield from _action(action)
    yield from _statuses()
    yield from [".SH SEE ALSO", r"\fBsennit\fR(1)"]


def _action(action: Command) -> Iterator[str]:
    yield from [f".SS {_text(action.name)}", _text(action.summary) + "."]
    yield from [".PP", _text(action.usage)]
    yield from _paragraphs(action.description)
    yield from _options(action)
    for below in action.actions:
        yield from _action(below)


def _options(command: Command) -> Iterator[str]:
    for option in command.options:
        yield from [".TP", rf"\fB{_text(option.written)}\fR", _text(option.help) or r"\&"]


def _statuses() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for status in ExitStatus:
        yield from [".TP", rf"\fB{status.value}\fR", _text(STATUSES[status])]
    yield from [".PP", _text(FOOTER)]


def _head(name: str, summary: str) -> list[str]:
    version = build.describe_build().partition(",")[0]
    return [
        f'.TH {_text(name).upper()} 1 "" "sennit {version}" "Sennit Manual"',
        ".nh",
        ".ad l",
        ".ds AD l",  # groff 1.23 adjusts again at each paragraph, unless this says how
        ".SH NAME",
        rf"{_text(name)} \- {_text(summary)}",
    ]


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            yield from [".PP", _text(" ".join(paragraph.split()))]


def _text(words: str) -> str:
    """Escape what roff would interpret: backslashes, hyphens of options, a dot or quote at a line's start."""
    escaped = " ".join(words.split()).replace("\\", r"\e").replace("-", r"\-").replace("`", "'")
    escaped = re.sub(r",(?=\S)", r",\\:", escaped)  # a long list of choices may break after its commas
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _file_name(command: Command) -> str:
    return command.name.replace(" ", "-")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages().items():
        (folder / name).write_text(content)
