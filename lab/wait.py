"""Wait for something by looking, never by sleeping a fixed time."""

import time
from collections.abc import Callable
from pathlib import Path

from lab.errors import LabFailed

POLL = 0.05  # seconds
LOG_TAIL = 15  # lines of a log that an error shows


def wait_for(what: str, ready: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    """Poll until `ready`; raises `LabFailed` with the log's end after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            tail = ""
            if log is not None and log.exists():
                tail = ":\n" + "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
            raise LabFailed(f"{what} did not happen within {seconds:g} s{tail}")
        time.sleep(POLL)
