"""The program's user and exit status."""

import os
import pwd

import pytest

from capture.program import ProgramUser, exit_status


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
