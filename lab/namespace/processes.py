"""The lab's processes: those that were started, and whatever else lives in its namespaces.

A started process is remembered by its id and start time, so that one that got the id later is never ended.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lab.namespace.network import existing_namespaces
from lab.namespace.place import LabFolder
from lab.wait import wait_for

KILL_AFTER = 5.0  # seconds between SIGTERM and SIGKILL


def record_process(place: LabFolder, pid: int) -> None:
    """Write down a process that was just started."""
    with (place.folder / "processes").open("a") as file:
        file.write(f"{pid} {_start_time(pid)}\n")


def running_processes(place: LabFolder) -> list[int]:
    """Return the ids of the lab's live processes, recorded or found by their namespace."""
    found: set[int] = set()
    for space in existing_namespaces(place):
        done = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True)
        found |= {int(pid) for pid in done.stdout.split()}
    return sorted(found.union(started_processes(place)) - {os.getpid()})


def started_processes(place: LabFolder) -> list[int]:
    """Return the ids of the recorded processes that live."""
    record = place.folder / "processes"
    lines = [line.split() for line in record.read_text().splitlines()] if record.exists() else []
    return [int(pid) for pid, started in lines if started != "gone" and _start_time(int(pid)) == started]


def wait_for_lab(
    place: LabFolder, what: str, ready: Callable[[], bool], seconds: float, log: Path | None = None
) -> None:
    """`wait_for` with the lab's own processes as those that may progress. Raises `LabFailed`."""
    wait_for(what, ready, seconds, log, lambda: started_processes(place))


def end_processes(place: LabFolder) -> None:
    """Send SIGTERM, then SIGKILL to those that remain."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in running_processes(place):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + KILL_AFTER
        while running_processes(place) and time.monotonic() < deadline:
            time.sleep(0.05)


def _start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat; "gone" for a process that is no more, or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] == "Z" else fields[19]
