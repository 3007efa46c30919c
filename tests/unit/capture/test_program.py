"""The program's user and exit status."""

import os
import pwd
from pathlib import Path

import pytest

from capture.program import ProgramNotExecuted, ProgramUser, execute_program, exit_status


def test_the_program_belongs_to_the_caller_of_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.getpwall()[1]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", str(entry.pw_uid))
    found = ProgramUser.find(None)
    assert found is not None
    assert (found.uid, found.name) == (entry.pw_uid, entry.pw_name)
    assert found.environment()["HOME"] == entry.pw_dir
    monkeypatch.delenv("SUDO_UID")
    assert ProgramUser.find(None) is None


def test_a_user_is_named_or_numbered() -> None:
    assert ProgramUser.find("root") == ProgramUser.find("0")
    with pytest.raises(KeyError):
        ProgramUser.find("no-such-user")


def test_a_signal_is_reported_as_shells_do() -> None:
    assert (exit_status(0), exit_status(7), exit_status(-9)) == (0, 7, 137)


def test_a_program_that_cannot_be_executed_is_not_a_missing_one(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 3\n")
    for program in (str(script), str(tmp_path)):
        with pytest.raises(ProgramNotExecuted, match=r"cannot execute .*: Permission denied") as refused:
            execute_program([program], lambda: None)
        assert refused.value.found
    for program in ("no-such-program", str(tmp_path / "none"), f"{script}/below", ""):
        with pytest.raises(ProgramNotExecuted, match="no such program") as missing:
            execute_program([program], lambda: None)
        assert not missing.value.found
    assert not ProgramNotExecuted(
        "other", PermissionError(), [str(tmp_path)]
    ).found  # such as a folder of root's
    assert ProgramNotExecuted("script", PermissionError(), [str(tmp_path)]).found
    script.chmod(0o755)
    assert execute_program([str(script)], lambda: None).wait(10) == 3
