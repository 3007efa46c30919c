"""The queue of spans: requests leave a record, a thread makes spans of many and sends them to a collector.

A collector that hangs or refuses costs spans, which are counted, and no request.
"""

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from edge.telemetry.traces.span_records import SpanRecord

log = logging.getLogger("edge.telemetry.traces")

QUEUE_RECORDS: Final = 8_192  # records that wait: some 8 MB
BATCH_RECORDS: Final = 512
FLUSH_SECONDS: Final = 1.0  # between batches, unless a whole one waits
CLOSE_SECONDS: Final = 2.0  # that an edge waits for its last batch when it stops
WARN_SECONDS: Final = 60.0  # between log lines about a collector that does not answer

# sends the spans of these records, and returns how many there were, and whether the collector took them
SendSpans = Callable[[Sequence[SpanRecord]], tuple[int, bool]]


class SpanExport:
    """Exports spans of a share `sample` of the traces and sessions that begin here; `send` is called in a thread.

    `stop` interrupts a `send` that waits.
    """

    def __init__(
        self,
        send: SendSpans,
        stop: Callable[[], None] = lambda: None,
        *,
        sample: float = 1.0,
        limit: int = QUEUE_RECORDS,
    ) -> None:
        self._send = send
        self._stop = stop
        self._sample = sample
        self._limit = limit
        self._queue: deque[SpanRecord] = deque()
        self._wake = threading.Event()
        self._closed = False
        self._exported = 0
        self._lost: Counter[str] = Counter()
        self._warned = -WARN_SECONDS
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def is_chosen(self) -> bool:
        """Decide for a trace, or a session, that begins here."""
        return self._sample >= 1.0 or random.random() < self._sample  # noqa: S311 (not a secret)

    def append(self, record: SpanRecord) -> None:
        """Export a record that is final; never waits."""
        if len(self._queue) >= self._limit or self._closed:
            self._lost["queue full"] += 1
            return
        self._queue.append(record)
        if len(self._queue) == BATCH_RECORDS:
            self._wake.set()

    def counts(self) -> dict[str, Any]:
        """Return the spans that were exported, and records that were lost by reason."""
        return {"exported": self._exported, "lost": dict(self._lost)}

    def close(self) -> None:
        """Send what waits, for `CLOSE_SECONDS` at most. It blocks: call it in a thread."""
        self._closed = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)
        self._stop()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            while self._queue:
                self._send_batch()

    def _send_batch(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(BATCH_RECORDS, len(self._queue)))]
        try:
            spans, taken = self._send(batch)
        except Exception as error:  # whatever it is, requests are served
            self._lost["failed"] += len(batch)
            self._warn_seldom(f"{type(error).__name__}: {error}")
            return
        if taken:
            self._exported += spans
        else:
            self._lost["refused"] += len(batch)
            self._warn_seldom("no answer in time, or a refusal")

    def _warn_seldom(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._warned >= WARN_SECONDS:
            self._warned = now
            log.warning("spans were not exported: %s", reason)
