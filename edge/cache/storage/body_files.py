"""Bodies too large for a row of the index: files in the store's folder, written under a lock.

While a process writes a body, and until it is in the index, it holds the file's lock; the kernel lets go of it when the
process dies, however it dies. So a body without a lock and without a row is what a crash has left, and `sweep` removes
it, also while other workers run.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Container
from pathlib import Path

SUFFIX = ".body"


class BodyFile:
    """A body on its way into the store. Writes raise OSError, as when the disk is full."""

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
        """Bring it to the disk: to be called off the event loop."""
        os.fsync(self._descriptor)

    def discard(self) -> None:
        """Take away its name; it lasts until `close`."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def sweep(folder: Path, known: Callable[[], Container[str]]) -> int:
    """Remove the bodies that nobody writes and no row names; return how many.

    `known` is asked after the locks: a body comes into the index before its writer lets go of it.
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
