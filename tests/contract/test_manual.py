"""Man pages and completion have every subcommand, action and option of the parsers."""

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import man_pages
import pytest

from sennit.commands import command_modules
from sennit.main import main
from sennit.parsers import command_names, command_parser

PAGES = {name: page.replace("\\-", "-") for name, page in man_pages.pages().items()}


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its actions."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


def flags(parser: argparse.ArgumentParser) -> set[str]:
    shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
    return {flag for action in shown for flag in action.option_strings}


def test_there_is_a_page_for_every_subcommand_and_one_for_all() -> None:
    assert set(PAGES) == {"sennit.1", *(f"sennit-{name}.1" for name in command_modules())}
    for name in command_modules():
        assert f"sennit-{name}\\fR(1)" in PAGES["sennit.1"]


@pytest.mark.parametrize("name", command_names())
def test_a_page_has_every_action_and_option(name: str) -> None:
    page = PAGES[f"sennit-{name}.1"]
    sections = dict(zip(("", *_headings(page)), _sections(page), strict=True))
    for parser in parsers(command_parser(name)):
        section = sections["" if parser.prog == f"sennit {name}" else parser.prog]
        entries = {
            word for line in section.splitlines() if line.startswith("\\fB") for word in line[3:].split()
        }
        assert flags(parser) <= {word.rstrip(",").removesuffix("\\fR") for word in entries}, parser.prog


def _headings(page: str) -> list[str]:
    return [line.removeprefix(".SS ") for line in page.splitlines() if line.startswith(".SS ")]


def _sections(page: str) -> list[str]:
    return page.split("\n.SS ")


@pytest.mark.parametrize("name", command_names())
def test_every_command_and_action_says_what_it_does(name: str) -> None:
    for parser in parsers(command_parser(name)):
        below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        assert parser.description or parser.prog != f"sennit {name}"
        for action in below:
            helped = {choice.dest for choice in action._choices_actions if choice.help}
            assert helped == set(action.choices), parser.prog


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("page", sorted(PAGES))
def test_man_formats_a_page_without_a_warning(page: str, tmp_path: Path) -> None:
    file = tmp_path / page
    file.write_text(man_pages.pages()[page])
    done = subprocess.run(["man", "--warnings", "--local-file", file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert page.removesuffix(".1") in done.stdout


def completion(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def completed(script: str, *words: str) -> set[str]:
    """Return what bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _shtab_sennit; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], capture_output=True, text=True, check=True)
    return {word.strip() for word in done.stdout.splitlines()}


def test_bash_completes_commands_actions_options_and_choices(capsys: pytest.CaptureFixture[str]) -> None:
    script = completion("bash", capsys)
    assert completed(script, "sennit", "ed") == {"edge", "edge-key", "edges"}
    assert completed(script, "sennit", "edges", "dr") == {"drain"}
    assert "--reason" in completed(script, "sennit", "edges", "drain", "--")
    assert completed(script, "sennit", "get", "--mode", "t") == {"tofu"}
    for name in command_modules():
        assert name in completed(script, "sennit", name)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = completion(shell, capsys)
    for name in command_names():
        for parser in parsers(command_parser(name)):
            for flag in flags(parser):
                assert (
                    f"-l {flag[2:]}" if shell == "fish" and flag.startswith("--") else flag.lstrip("-")
                ) in script
