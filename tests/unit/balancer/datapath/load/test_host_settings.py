"""The host's settings: set, or already so, or refused by name."""

import os
from pathlib import Path

import pytest

from balancer.datapath.load import host_settings as host


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /proc/sys/net, where nothing is as it should be."""
    for name in ("ipv4/conf/all", "ipv4/conf/up0", "ipv4/conf/bb0"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "rp_filter").write_text("1\n")
    for name in ("tcp_fwmark_accept", "fwmark_reflect", "ip_forward"):
        (tmp_path / "ipv4" / name).write_text("0\n")
    monkeypatch.setattr(host, "SETTINGS", tmp_path)
    return tmp_path


def fix(path: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a setting a value that cannot be changed, as in a container; root writes to any file, hence the patch."""
    path.write_text(value)
    write = Path.write_text

    def refuse(self: Path, text: str) -> int:
        if self == path:
            raise OSError(30, os.strerror(30))
        return write(self, text)

    monkeypatch.setattr(Path, "write_text", refuse)


def test_everything_is_set(settings: Path) -> None:
    host.prepare_host(("up0",), "bb0", v6=False)
    assert (settings / "ipv4/conf/up0/rp_filter").read_text() == "0"
    assert (settings / "ipv4/conf/all/rp_filter").read_text() == "0"
    assert (settings / "ipv4/fwmark_reflect").read_text() == "1"


def test_what_cannot_be_set_is_named_with_its_cure(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fix(settings / "ipv4/tcp_fwmark_accept", "0", monkeypatch)
    with pytest.raises(host.HostRefuses, match=r"sysctl -w net\.ipv4\.tcp_fwmark_accept=1"):
        host.prepare_host(("up0",), "bb0", v6=False)


@pytest.mark.parametrize(("value", "refused"), [("0", False), ("1", True), ("2", False)])
def test_a_reverse_path_filter_that_cannot_be_turned_off_may_be_loose(
    settings: Path, monkeypatch: pytest.MonkeyPatch, value: str, refused: bool
) -> None:
    fix(settings / "ipv4/conf/up0/rp_filter", value, monkeypatch)
    if not refused:
        host.prepare_host(("up0",), "bb0", v6=False)
        return
    with pytest.raises(host.HostRefuses, match=r"net\.ipv4\.conf\.up0\.rp_filter"):
        host.prepare_host(("up0",), "bb0", v6=False)
