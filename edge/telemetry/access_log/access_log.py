"""The queue of the access log: requests leave a record, lines are made of many at once, a thread writes them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Protocol

from edge.telemetry.access_log.fast_hit import FastHit
from edge.telemetry.access_log.writer import LogWriter
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.stream_record import StreamRecord

QUEUE_RECORDS: Final = 32_768  # records that wait to be formatted
# records formatted at once, within some microseconds: more would push the sessions out of the processor's cache
BATCH_RECORDS: Final = 64
FLUSH_SECONDS: Final = 0.2  # a killed worker loses what it recorded in this time


class LineFormat(Protocol):
    """Makes lines of records."""

    def format_lines(self, records: Sequence[RequestRecord | StreamRecord | FastHit]) -> bytes:
        """Return a line with its line end for each record."""


class AccessLog:
    """Records of finished requests on their way to `writer`, `limit` at most that wait to be formatted.

    `sample` is the share of requests that it is given.
    """

    def __init__(
        self, lines: LineFormat, writer: LogWriter, sample: float = 1.0, limit: int = QUEUE_RECORDS
    ) -> None:
        self._lines: Any = lines
        self._writer = writer
        self.sample = sample
        self._limit = limit
        self._queue: list[RequestRecord | StreamRecord | FastHit] = []
        self._timer: asyncio.Handle | None = None
        self._lost = 0
        self._closed = False

    def append(self, record: RequestRecord | StreamRecord | FastHit) -> None:
        """Log a finished request; never waits."""
        if len(self._queue) >= self._limit or self._closed:
            self._lost += 1
            return
        self._queue.append(record)
        if len(self._queue) == BATCH_RECORDS:
            # in the loop's next turn: no request pays for a fault of the log
            asyncio.get_running_loop().call_soon(self._format_batches)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _format_batches(self) -> None:
        """Format whole batches; of what is left the next one is made."""
        while len(self._queue) >= BATCH_RECORDS:
            self._format_batch()

    def _flush(self) -> None:
        self._timer = None
        try:
            while self._queue:
                self._format_batch()
        finally:
            self._writer.flush()

    def _format_batch(self) -> None:
        batch = self._queue[:BATCH_RECORDS]
        del self._queue[:BATCH_RECORDS]
        self._writer.put_lines(self._lines.format_lines(batch), len(batch))

    def reopen(self) -> None:
        """Open the file again, as after its rotation."""
        self._writer.request_reopen()

    def counts(self) -> dict[str, Any]:
        """Return lines written, and lines lost by reason."""
        lost: Counter[str] = Counter(self._writer.lost)
        if self._lost:
            lost["queue-full"] += self._lost
        return {"written": self._writer.written, "lost": dict(lost)}

    async def close(self) -> None:
        """Write what waits, within the writer's time limit."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._queue:
            self._format_batch()
            await asyncio.sleep(0)
        await asyncio.to_thread(self._writer.close)
