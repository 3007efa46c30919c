"""The thread that writes lines of the access log: a slow disk or a shipper that hangs delays no request."""

import logging
import threading
import time
from collections import Counter, deque
from typing import Protocol

log = logging.getLogger("edge.telemetry.access_log")

WAITING_BYTES = 8 << 20  # bytes of lines that wait to be written
WAKE_BYTES = 1 << 20  # bytes of lines for which the thread is woken before `flush`
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

    def write_batches(self, batches: list[bytes]) -> None:
        """Write batches of lines, each with its end, within a bounded time. Raises `LinesLost`."""

    def reopen(self) -> None:
        """Open again; never raises."""

    def close(self) -> None: ...


class LogWriter:
    """Hands batches of lines to `sink` in a thread of its own.

    That thread is woken for many batches at once: it takes the processor from the requests each time.
    """

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink
        self._batches: deque[tuple[bytes, int]] = deque()  # lines, and how many
        self._put = 0  # bytes, counted by who puts them
        self._done = 0  # bytes, counted by the thread
        self._woken_for = 0  # bytes that were put when it was woken last
        self._wake = threading.Event()
        self._reopen = False
        self._closing = False
        self._warned_at = -WARNING_SECONDS
        self.written = 0
        self.lost: Counter[str] = Counter()
        self._lock = threading.Lock()  # of the counts, never held while anything is written
        self._in_hand = 0  # lines that the thread is writing
        self._given_up = False  # what the thread still does is counted as lost already
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def put_lines(self, lines: bytes, count: int) -> None:
        """Queue a batch; lose it where too much waits. It is written after `flush`, or once many bytes wait."""
        if self._closing or self._put - self._done + len(lines) > WAITING_BYTES:
            self.lost["writer-behind"] += count
            return
        self._batches.append((lines, count))
        self._put += len(lines)
        if self._put - self._woken_for >= WAKE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Have what is queued written now."""
        if self._put != self._woken_for:
            self._woken_for = self._put
            self._wake.set()

    def request_reopen(self) -> None:
        self._reopen = True
        self._wake.set()

    def close(self) -> None:
        """Write what is queued, `CLOSE_SECONDS` at most; what is left then is lost, and counted."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            with self._lock:
                self._given_up = True
                left = self._in_hand + sum(count for _, count in self._batches)
                self._batches.clear()
                self.lost["writer-behind"] += left
            log.warning("access log: %d lines lost at the end: %s", left, self._sink.remedy)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing  # before the last look at what is queued
            if self._reopen:
                self._reopen = False
                self._sink.reopen()
            self._write_batches()
            if closing:
                self._sink.close()
                return

    def _write_batches(self) -> None:
        while True:
            with self._lock:
                waiting = [self._batches.popleft() for _ in range(len(self._batches))]
                if not waiting:  # or `close` has given up
                    return
                self._in_hand = sum(count for _, count in waiting)
            batches = [lines for lines, _ in waiting]
            self._write(batches, self._in_hand)
            self._done += sum(map(len, batches))

    def _write(self, batches: list[bytes], count: int) -> None:
        lost, reason = 0, ""
        fault: Exception | None = None
        try:
            self._sink.write_batches(batches)
        except LinesLost as error:
            lost, reason, fault = error.count, error.reason, error
        except Exception as error:
            lost, reason, fault = count, "write-failed", error
        with self._lock:
            self._in_hand = 0
            if self._given_up:
                return
            self.written += count - lost
            if fault is not None:
                self.lost[reason] += lost
        if fault is not None:
            self._warn(lost, fault, self._sink.remedy)

    def count_unformatted(self, error: Exception) -> None:
        """Count a line that could not be made."""
        self.lost["format-failed"] += 1
        self._warn(1, error, "a fault of the edge: please report it")

    def _warn(self, count: int, error: Exception, remedy: str) -> None:
        """Log lost lines, at most one warning in `WARNING_SECONDS`."""
        now = time.monotonic()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            log.warning("access log: %d lines lost: %s; %s", count, error, remedy)
