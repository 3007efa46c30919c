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

    def write_lines(self, lines: bytes) -> None:
        regular = stat.S_ISREG(self._status.st_mode)
        if regular:
            self._follow_rotation()
        written = 0
        # a pipe keeps only short writes of several processes apart
        for block in [lines] if regular else lines.splitlines(keepends=True):
            done, error = self._write_block(block)
            if error is not None:
                written += block[:done].count(b"\n")
                reason = "reader-behind" if isinstance(error, BlockingIOError) else "write-failed"
                raise LinesLost(reason, lines.count(b"\n") - written, error)
            written += 1  # counts where each line is a block

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

    def _write_block(self, block: bytes) -> tuple[int, OSError | None]:
        """Write `block`, after the end of a line that was torn; return its bytes written, and what stopped it."""
        data = b"\n" + block if self._torn else block
        at, deadline = 0, time.monotonic() + WRITE_SECONDS
        stopped: OSError | None = None
        while at < len(data):
            try:
                at += os.write(self._descriptor, data[at:] if at else data)
            except OSError as error:
                seconds = deadline - time.monotonic()
                if isinstance(error, BlockingIOError) and _wait_writable(self._descriptor, seconds):
                    continue
                stopped = error
                break
        done = max(0, at - (len(data) - len(block)))
        if at:
            self._torn = data[at - 1] != ord("\n")
        return done, stopped


def _open_file(path: Path) -> tuple[int, os.stat_result]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    return descriptor, os.fstat(descriptor)


def _wait_writable(descriptor: int, seconds: float) -> bool:
    return seconds > 0 and bool(select.select([], [descriptor], [], seconds)[1])
