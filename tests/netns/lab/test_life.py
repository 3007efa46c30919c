"""The lab goes without a trace, also after a crash, and comes up again."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from lab.namespace import bringup
from lab.namespace.network import existing_namespaces
from lab.namespace.place import LabFolder
from lab.namespace.processes import running_processes
from lab.topology import LAB

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")


def command_line(pid: int) -> str:
    """Empty where the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_down_removes_every_trace_after_a_crash(tmp_path: Path) -> None:
    place = LabFolder(f"sc{os.getpid()}", tmp_path / "state")
    try:
        bringup.bring_up(place, LAB)
        bringup.bring_up(place, LAB)  # a second time is harmless
        victims = running_processes(place)
        assert len(victims) >= 12
        for pid in victims[::2]:
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", place.namespace("ispb")], check=True)
    finally:
        assert bringup.tear_down(place)
    assert existing_namespaces(place) == []
    assert not place.folder.exists()
    assert str(place.folder) not in Path("/proc/mounts").read_text()
    for pid in victims:
        assert str(place.folder) not in command_line(pid)
    assert not bringup.tear_down(place)


def test_a_daemon_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    from lab.errors import LabFailed
    from lab.wait import wait_for

    log = tmp_path / "daemon.log"
    log.write_text("first\nerror: the reason\n")
    with pytest.raises(LabFailed, match="the reason"):
        wait_for("the start", lambda: False, 0.1, log)
