"""One process at a time changes the host: `load`, `detach`, and the daemon's repairs lock the state folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class HostBusy(Exception):
    """Another process is changing the host."""


@contextlib.contextmanager
def lock_host(state: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock. Raises `HostBusy` at once unless `wait`."""
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError:
        raise HostBusy(f"another process is changing the host ({state} is locked)") from None
    finally:
        os.close(folder)
