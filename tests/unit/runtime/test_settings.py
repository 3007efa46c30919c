"""Settings: flags over environment over file over defaults, and refusals that name the setting."""

from pathlib import Path

import pytest

from edge.config.settings import EdgeSettings
from origin.settings import OriginSettings
from runtime.errors import CommandError, ExitStatus
from sennit.main import main


def test_flags_outweigh_environment_outweighs_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(
        "max_sessions = 1\nhandshake_timeout = 2.5\nrequire_both = true\nmax_pending_handshakes = 7\n"
    )
    monkeypatch.setenv("SENNIT_EDGE_MAX_SESSIONS", "3")
    monkeypatch.setenv("SENNIT_EDGE_HANDSHAKE_TIMEOUT", "4")
    made = EdgeSettings.from_arguments(["--config", str(file), "--handshake-timeout", "5"])
    assert (made.handshake_timeout, made.max_sessions, made.require_both) == (5.0, 3, True)
    assert made.max_pending_handshakes == 7
    assert made.upstream == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--max-sessions", "many"], "--max-sessions"),
        (["--handshake-timeout", "0"], "--handshake-timeout"),
        (["--upstream", "ftp://x"], "--upstream"),
        (["--config", "/nowhere.toml"], "--config"),
        (["--config"], "--config"),
    ],
)
def test_a_wrong_setting_is_named(arguments: list[str], named: str) -> None:
    with pytest.raises(CommandError, match=named) as caught:
        EdgeSettings.from_arguments(arguments)
    assert caught.value.status == ExitStatus.USAGE


def test_a_file_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "origin.toml"
    file.write_text("colour = 1\n")
    with pytest.raises(CommandError, match="colour"):
        OriginSettings.from_arguments(["--config", str(file)])


def test_an_unknown_command_ends_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == ExitStatus.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "error: no such command: nonsense" in said.err
    assert "hint:" in said.err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == ExitStatus.OK
    said = capsys.readouterr().out
    for name in ("get", "lab", "edge", "forwarder", "control", "agent", "origin"):
        assert f"\n  {name} " in said
