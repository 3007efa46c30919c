"""Body files: bodies too large for an index row, written under a lock.

A process holds the file's lock until the body is in the index; the kernel releases it when the process dies. A file
without a lock and without a row is left from a crash, and `remove_orphans` removes it, also while other workers run.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Container
from pathlib import Path

SUFFIX = ".body"


class BodyFile:
    """A body that is being written. Writes raise OSError, for example when the disk is full."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{uuid.uuid4().hex}{SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o640)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.size = 0

    @property
    def name(self) -> str:
        return self.path.name

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        at = self.size
        while view:
            done = os.pwrite(self._descriptor, view, at)
            view, at = view[done:], at + done
        self.size = at

    def read(self, at: int, length: int) -> bytes:
        return os.pread(self._descriptor, min(length, self.size - at), at)

    def sync(self) -> None:
        """Flush to disk. Blocks: call it off the event loop."""
        os.fsync(self._descriptor)

    def discard(self) -> None:
        """Unlink the file; the content stays readable until `close`."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def read_cached(path: Path, size: int) -> bytes | None:
    """Return the `size` bytes of a body file, None unless all are in the page cache: it never waits for the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        body = bytearray(size)
        try:
            done = os.preadv(descriptor, [body], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError:  # a file system without RWF_NOWAIT
            done = os.preadv(descriptor, [body], 0)
        return bytes(body) if done == size else None
    finally:
        os.close(descriptor)


def remove_orphans(folder: Path, known: Callable[[], Container[str]]) -> int:
    """Remove body files without a writer and without an index row; return how many.

    `known` is called after the locks are checked: a writer releases its lock only after the row exists.
    """
    idle = [path for path in folder.glob(f"*{SUFFIX}") if not _is_being_written(path)]
    rows = known()
    left = [path for path in idle if path.name not in rows]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _is_being_written(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
