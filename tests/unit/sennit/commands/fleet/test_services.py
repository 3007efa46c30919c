"""`sennit services` against a real control plane on loopback: the ways of an operator."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from sennit.main import main

FIRST = """hostnames: [www.example.org]
origins:
- name: eu
  url: http://192.0.2.1
"""
SECOND = FIRST.replace("192.0.2.1", "192.0.2.2")


@pytest.fixture
def services(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `sennit services`; returns status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["services", *arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def edit_with(folder: Path, monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """Let an editor save these texts, one each time."""
    for number, text in enumerate(texts):
        (folder / f"text{number}").write_text(text)
    editor = folder / "editor"
    editor.write_text(
        f'#!/bin/sh\ncd {folder}\ncp "$1" seen\nfor each in text*; do cp $each "$1"; rm $each; exit; done\nexit 1\n'
    )
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)


def test_a_service_is_added_in_three_commands_and_changed_and_back(control: Path, services: Any) -> None:
    (control / "first.yml").write_text(FIRST)
    (control / "second.yml").write_text(SECOND)
    assert services("create", "shop")[0] == 0
    assert json.loads(services("show", "shop", "--json")[1])["revision"] is None
    assert services("edit", "shop", "--file", f"{control}/first.yml") == (0, "shop: revision 1, draft\n", "")
    assert services("activate", "shop")[1] == "shop: revision 1 is active, newest 1, edges 0/0\n"
    changed = '~ origins[eu].url: "http://192.0.2.1" -> "http://192.0.2.2"\n'
    assert services("diff", "shop", "--file", f"{control}/second.yml")[1] == changed
    assert services("validate", "shop", "--file", f"{control}/second.yml")[1] == f"no faults\n{changed}"
    assert services("edit", "shop", "--file", f"{control}/second.yml", "--activate")[0] == 0
    assert services("diff", "shop", "1", "2")[1] == changed
    assert "revision 1 is active" in services("rollback", "shop")[1]
    assert "url: http://192.0.2.1" in services("show", "shop")[1]
    assert "url: http://192.0.2.2" in services("show", "shop", "--revision", "2")[1]
    assert "superseded" in services("show", "shop", "--revisions")[1]
    assert services("list")[1].splitlines()[1].split() == ["shop", "http", "1", "2", "0/0", "www.example.org"]
    assert json.loads(services("list", "--json")[1])[0]["active"] == 1
    shown = json.loads(services("show", "shop", "--json")[1])
    assert (shown["service"]["name"], shown["revision"]["number"], shown["origins"]) == ("shop", 1, [])
    assert json.loads(services("top", "--json")[1]) == {
        "seconds": 60,
        "services": [],
        "no_service": None,
        "origins": [],
    }
    assert services("top")[1].endswith(" in the last 60 s\n")
    assert services("delete", "shop")[0] == 2
    assert services("delete", "shop", "--yes") == (0, "", "")
    assert services("show", "shop")[0] == 5


def test_every_fault_has_a_line(control: Path, services: Any) -> None:
    services("create", "shop")
    (control / "wrong.yml").write_text(FIRST.replace("http://192.0.2.1", "ftp://x") + "colour: red\n")
    status, _, errors = services("validate", "shop", "--file", f"{control}/wrong.yml")
    assert status == 5
    assert [line.split(":")[0].strip() for line in errors.splitlines()[1:3]] == ["origins.0.url", "colour"]
    assert "colour: there is no such field" in errors
    (control / "wrong.yml").write_text("a: [")
    assert services("edit", "shop", "--file", f"{control}/wrong.yml")[0] == 2
    status, _, errors = services("edit", "shop", "--file", f"{control}/missing.yml")
    assert (status, errors.endswith("missing.yml: No such file or directory\n")) == (2, True)
    status, _, errors = services("create", "none")
    assert (status, errors.startswith("error: name: none is reserved")) == (2, True)


def test_the_editor_comes_back_with_the_faults(
    control: Path, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services("create", "shop")
    edit_with(control, monkeypatch, "hostnames: []\n", FIRST)
    assert services("edit", "shop", "--activate")[0] == 0
    seen = (control / "seen").read_text()
    assert "#! origins: Field required" in seen
    assert "hostnames: []" in seen
    edit_with(control, monkeypatch, "hostnames: [\n", SECOND)
    assert services("edit", "shop")[1] == "shop: revision 2, draft\n"
    edit_with(control, monkeypatch, SECOND)
    assert services("edit", "shop")[1] == "shop: revision 2, draft\n", "the same document adds none"


def test_an_editor_that_fails_stores_nothing(
    control: Path, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services("create", "shop")
    edit_with(control, monkeypatch)
    assert services("edit", "shop")[0] == 1
    monkeypatch.setenv("EDITOR", "")
    assert services("edit", "shop")[0] == 2
    assert services("activate", "shop")[0] == 1


def test_a_rollout_is_begun_shown_and_returned(control: Path, services: Any) -> None:
    services("create", "shop")
    (control / "first.yml").write_text(FIRST)
    services("edit", "shop", "--file", f"{control}/first.yml")
    assert services("activate", "shop", "--stage", "some%")[0] == 2
    assert services("activate", "shop", "--stage", "elsewhere")[0] == 5
    begun = services("activate", "shop", "--stage", "10%", "--stage", "50%", "--dwell", "5")[1]
    assert begun == "shop: no revision is active, a rollout brings 1, newest 1, edges 0/0\n"
    shown = services("rollout", "shop")[1].splitlines()
    assert shown[0].startswith("shop: rollout of revision 1 is running")
    assert shown[2:] == ["* stage 0: 10% of all edges", "  stage 1: 50% of all edges"]
    assert services("rollout", "shop", "advance")[0] == 5
    assert "is returned" in services("rollout", "shop", "return", "--reason", "enough")[1]


def test_applying_a_file_changes_what_differs_and_nothing_the_second_time(
    control: Path, services: Any
) -> None:
    (control / "first.yml").write_text(FIRST)
    (control / "second.yml").write_text(SECOND)
    preview = services("apply", "shop", "-f", f"{control}/first.yml", "--dry-run")
    assert '+ hostnames: ["www.example.org"]' in preview[1]
    assert services("show", "shop")[0] == 5, "a dry run creates nothing"
    assert services("apply", "shop", "-f", f"{control}/first.yml")[1] == preview[1]
    for _ in range(2):
        assert services("apply", "shop", "-f", f"{control}/first.yml") == (0, "no difference\n", "")
    changed = '~ origins[eu].url: "http://192.0.2.1" -> "http://192.0.2.2"\n'
    assert services("apply", "shop", "-f", f"{control}/second.yml", "--dry-run")[1] == changed
    assert services("apply", "shop", "-f", f"{control}/second.yml")[1] == changed
    assert services("rollback", "shop")[0] == 0
    assert services("apply", "shop", "-f", f"{control}/second.yml")[1] == changed
    assert "revision 2 is active, newest 2" in services("show", "shop")[1]
    staged = services("apply", "shop", "-f", f"{control}/first.yml", "--stage", "10%")
    assert staged[0] == 0
    assert services("apply", "shop", "-f", f"{control}/first.yml", "--stage", "10%")[1] == "no difference\n"
    (control / "wrong.yml").write_text("hostnames: []\n")
    for more in ((), ("--dry-run",)):
        status, _, errors = services("apply", "shop", "-f", f"{control}/wrong.yml", *more)
        assert status in (2, 5)
        assert "hostnames" in errors


def test_secrets_are_written_from_a_file_and_never_shown(control: Path, services: Any) -> None:
    services("create", "shop")
    (control / "value").write_text("the value")
    written = services("secret", "shop", "url-key", "--value-file", f"{control}/value")
    listed = services("secret", "shop")
    assert written[0] == listed[0] == 0
    assert "url-key" in listed[1]
    assert "the value" not in written[1] + listed[1]
    assert services("secret", "shop", "url-key")[0] == 2
    assert services("secret", "shop", "url-key", "--delete")[0] == 0
    assert services("secret", "shop") == (0, "", "")
