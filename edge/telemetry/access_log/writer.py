"""The thread that writes lines of the access log: a slow disk or a shipper that hangs delays no request."""

import logging
import threading
import time
from collections import Counter, deque
from typing import Protocol

log = logging.getLogger("edge.telemetry.access_log")

WAITING_BYTES = 8 << 20  # bytes of lines that wait to be written
CLOSE_SECONDS = 3.0  # seconds that the end of a worker waits for its last lines
WARNING_SECONDS = 30.0  # between two warnings about lost lines


class LinesLost(Exception):
    """A sink could not write: `count` of the lines, for `reason`."""

    def __init__(self, reason: str, count: int, error: object) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason = reason
        self.count = count


class LineSink(Protocol):
    """Where lines go. Called by the writer's thread only."""

    remedy: str

    def write_lines(self, lines: list[bytes]) -> None:
        """Write lines, within a bounded time. Raises `LinesLost`."""

    def reopen(self) -> None:
        """Open again; never raises."""

    def close(self) -> None: ...


class LogWriter:
    """Hands batches of lines to `sink` in a thread of its own."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink
        self._batches: deque[tuple[list[bytes], int]] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._reopen = False
        self._closing = False
        self._warned_at = -WARNING_SECONDS
        self.written = 0
        self.lost: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def put_lines(self, lines: list[bytes]) -> None:
        """Queue a batch; lose it where too much waits."""
        size = sum(map(len, lines))
        with self._changed:
            if self._closing or self._waiting + size > WAITING_BYTES:
                self.lost["writer-behind"] += len(lines)
                return
            self._batches.append((lines, size))
            self._waiting += size
            self._changed.notify()

    def request_reopen(self) -> None:
        with self._changed:
            self._reopen = True
            self._changed.notify()

    def close(self) -> None:
        """Write what is queued, `CLOSE_SECONDS` at most; what is left then is lost, and counted."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            with self._changed:
                left = sum(len(lines) for lines, _ in self._batches)
                self.lost["writer-behind"] += left
                self._batches.clear()
            log.warning("access log: %d lines lost at the end: %s", left, self._sink.remedy)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._batches or self._reopen or self._closing):
                    self._changed.wait()
                reopen, self._reopen = self._reopen, False
                lines, size = self._batches.popleft() if self._batches else ([], 0)
                ending = self._closing and not lines
            if ending:
                self._sink.close()
                return
            if reopen:
                self._sink.reopen()
            if lines:
                self._write_batch(lines)
                with self._changed:
                    self._waiting -= size

    def _write_batch(self, lines: list[bytes]) -> None:
        try:
            self._sink.write_lines(lines)
        except LinesLost as error:
            self._count_lost(lines, error.count, error.reason, error)
        except Exception as error:
            self._count_lost(lines, len(lines), "write-failed", error)
        else:
            with self._changed:
                self.written += len(lines)

    def _count_lost(self, lines: list[bytes], count: int, reason: str, error: Exception) -> None:
        with self._changed:
            self.lost[reason] += count
            self.written += len(lines) - count
        now = time.monotonic()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            log.warning("access log: %d lines lost: %s; %s", count, error, self._sink.remedy)
