"""`sennit capture` and `sennit run --through-service`: hosts and options before anything is captured."""

import argparse
from pathlib import Path

import pytest

from runtime.errors import CommandError
from sennit.commands.client import capture, run
from smkex.client.known_hosts import KnownHost, KnownHosts


def options(*words: str) -> argparse.Namespace:
    return capture.build_parser().parse_args(words)


def test_hosts_are_given_or_in_a_file_or_else_known(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.remember(KnownHost("known.lab", "SHA256:" + "a" * 43))
    hosts = tmp_path / "hosts"
    hosts.write_text("# of the office\n\n*.cdn.lab\n203.0.113.1 # its address\n")
    assert capture._read_hosts(options(), known) == ["known.lab"]
    assert capture._read_hosts(options(), None) == []
    given = options("--host", "a.lab", "--hosts-file", str(hosts))
    assert capture._read_hosts(given, known) == ["a.lab", "*.cdn.lab", "203.0.113.1"]
    with pytest.raises(ValueError, match="hosts-file"):
        capture._read_hosts(options("--hosts-file", str(tmp_path / "missing")), known)
    known.path.write_text("damaged\n")
    with pytest.raises(ValueError, match="line 1"):
        capture._read_hosts(options(), known)


def test_the_group_of_one_unit_is_refused() -> None:
    with pytest.raises(CommandError) as found:
        capture.run(["--host", "a.lab", "--cgroup", "system.slice/mail.service"])
    assert "Slice=sennit-captured.slice" in found.value.hint


@pytest.mark.parametrize(
    "given", [("--path", "lo"), ("--mode", "tofu"), ("--user", "root"), ("--timeout", "3")]
)
def test_the_services_sessions_have_the_services_options(given: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=f"{given[0]} cannot be chosen"):
        run.run(["--through-service", *given, "--", "true"])


def test_a_missing_service_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENNIT_CAPTURE_SOCKET", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="no capture service"):
        run.run(["--through-service", "--host", "cdn.lab", "--", "true"])
