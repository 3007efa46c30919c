"""One process at a time changes the host: `load`, `detach`, and the daemon's repairs lock the forwarder's host.lock.

A lock needs no more than an open file: only the forwarder's user and root can open this one.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from node.state.catalogue import HOST_LOCK


class HostBusy(Exception):
    """Another process is changing the host."""


@contextlib.contextmanager
def lock_host(state: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock. Raises `HostBusy` at once unless `wait`."""
    lock = _open_lock(state)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError:
        path = HOST_LOCK.path_in(state)
        raise HostBusy(f"another process is changing the host ({path} is locked)") from None
    finally:
        os.close(lock)


def _open_lock(state: Path) -> int:
    HOST_LOCK.create_folder(state)
    path = HOST_LOCK.path_in(state)
    lock = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, HOST_LOCK.mode)
    if os.geteuid() == 0:  # an operator's `load`: the daemon must be able to open it too
        folder = path.parent.stat()
        os.fchown(lock, folder.st_uid, folder.st_gid)
    return lock
