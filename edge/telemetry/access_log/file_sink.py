"""The access log as a file, which may be rotated at any time: it is opened again when its name leads elsewhere."""

import logging
import os
import select
import stat
import time
from pathlib import Path

from edge.telemetry.access_log.writer import LinesLost

log = logging.getLogger("edge.telemetry.access_log")

CHECK_SECONDS = 1.0  # seconds between looks whether the name still leads to the open file
WRITE_SECONDS = 1.0  # seconds that a pipe may take nothing
PIECES_LIMIT = 1024  # that writev(2) takes at once (IOV_MAX)


class FileSink:
    """Appends to `path`. All workers append to the same file: the kernel keeps their batches whole."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        self._torn = False  # the last write ended within a line
        self._checked_at = time.monotonic()
        self._reopen_failed = False
        self.remedy = f"check the space on the disk of {path}, and its permissions"
        self._descriptor, self._status = _open_file(path)

    def reopen(self) -> None:
        """Open the file by its name. Where that fails the open one stays, and the next look tries again."""
        try:
            opened = _open_file(self._path)
        except OSError as error:
            if not self._reopen_failed:
                log.warning("access log not reopened, keeping the open file: %s: %s", self._path, error)
            self._reopen_failed = True
            return
        os.close(self._descriptor)
        self._descriptor, self._status = opened
        self._torn = self._reopen_failed = False

    def close(self) -> None:
        os.close(self._descriptor)

    def write_batches(self, batches: list[bytes]) -> None:
        if stat.S_ISREG(self._status.st_mode):
            self._follow_rotation()
            self._write_or_lose(batches)
            return
        # a pipe keeps only short writes of several processes apart
        lines = b"".join(batches).splitlines(keepends=True)
        for at, line in enumerate(lines):
            self._write_or_lose([line], len(lines) - at - 1)

    def _write_or_lose(self, pieces: list[bytes], after: int = 0) -> None:
        """Write lines, or raise `LinesLost` for what is left of them and for the `after` lines that follow."""
        done, error = self._write_pieces(pieces)
        if error is not None:
            reason = "reader-behind" if isinstance(error, BlockingIOError) else "write-failed"
            raise LinesLost(reason, b"".join(pieces)[done:].count(b"\n") + after, error)

    def _follow_rotation(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            moved = not os.path.samestat(self._path.stat(), self._status)
        except OSError:
            moved = True
        if moved:
            self.reopen()

    def _write_pieces(self, pieces: list[bytes]) -> tuple[int, OSError | None]:
        """Write `pieces`, after the end of a line that was torn; return their bytes written, and what stopped it."""
        ending = int(self._torn)  # bytes
        given = left = [b"\n", *pieces] if ending else pieces
        size, written = sum(map(len, given)), 0
        deadline = time.monotonic() + WRITE_SECONDS
        stopped: OSError | None = None
        while written < size:
            try:
                written += os.writev(self._descriptor, left[:PIECES_LIMIT])
            except OSError as error:
                seconds = deadline - time.monotonic()
                if isinstance(error, BlockingIOError) and _wait_writable(self._descriptor, seconds):
                    continue
                stopped = error
                break
            if written < size:
                left = [b"".join(given)[written:]]
        if written:
            self._torn = written < size and not b"".join(given)[:written].endswith(b"\n")
        return max(0, written - ending), stopped


def _open_file(path: Path) -> tuple[int, os.stat_result]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    return descriptor, os.fstat(descriptor)


def _wait_writable(descriptor: int, seconds: float) -> bool:
    return seconds > 0 and bool(select.select([], [descriptor], [], seconds)[1])
