"""Ports of the entrance that no process takes over when the service has ended."""

from pathlib import Path

import pytest

from capture import entrances
from capture.entrances import Entrances, privileged_ports


def test_a_service_has_ports_that_need_a_capability(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    monkeypatch.setattr(entrances, "UNPRIVILEGED_START", limit)
    for text, highest in (("1024\n", 1023), ("900\n", 899), ("2000\n", 1023)):
        limit.write_text(text)
        assert max(privileged_ports()) == highest
        assert min(privileged_ports()) == 512
    limit.write_text("0\n")
    with pytest.raises(OSError, match="every user could take the ports"):
        privileged_ports()


def test_a_port_that_is_taken_is_passed_over() -> None:
    with Entrances() as first:
        taken = first.streams_port
        with Entrances((taken, 0, 0, 0, 0)) as second:
            assert second.streams_port != taken
        with pytest.raises(OSError, match="no port is free"), Entrances((taken,)):
            pass
