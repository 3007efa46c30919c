"""The access log: lines are made in batches, which go to a thread that writes them."""

import asyncio
from typing import Any, Final

from edge.telemetry.access_log.fast_hit import FastHit, FastRequest, HitOutcome
from edge.telemetry.access_log.line_format import LineFormat
from edge.telemetry.access_log.writer import LogWriter
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import ServiceFigures
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.stream_record import StreamRecord

# lines made at once, within some microseconds: more would push the sessions out of the processor's cache, and one at a
# time would find nothing of theirs in it
BATCH_LINES: Final = 64
FLUSH_SECONDS: Final = 0.2  # a killed worker loses what it recorded in this time


class AccessLog:
    """Lines of finished requests on their way to `writer`. `sample` is the share of requests that it is given."""

    def __init__(self, lines: LineFormat, writer: LogWriter, sample: float = 1.0) -> None:
        self._lines = lines
        self._writer = writer
        self.sample = sample
        # answers of the fast path whose lines are not made, in objects that are used again
        self._hits = [_no_hit() for _ in range(BATCH_LINES)]
        self._hit_count = 0
        self._parts: list[bytes] = []  # of the lines of this batch that are made: each byte is copied once
        self._count = 0  # lines of this batch that are made
        self._timer: asyncio.Handle | None = None
        self._closed = False

    def append(self, record: RequestRecord | StreamRecord) -> None:
        """Log a finished request or stream; never waits, never raises."""
        self._make_lines()
        try:
            self._parts.append(self._lines.format_record(record))
            self._count += 1
        except Exception as error:
            self._writer.count_unformatted(error)
        self._after_line()

    def append_hit(
        self,
        at: float,
        request_id: bytes,
        connection: ConnectionFacts,
        asked: FastRequest,
        outcome: HitOutcome,
    ) -> None:
        """Log an answer of the fast path, at `at` seconds since the epoch; never waits, never raises."""
        hit = self._hits[self._hit_count]
        hit.at = at
        hit.request_id = request_id
        hit.connection = connection
        hit.asked = asked
        hit.outcome = outcome
        self._hit_count += 1
        self._after_line()

    def _make_lines(self) -> None:
        """Make the lines of the fast path's answers."""
        for index in range(self._hit_count):
            try:
                self._lines.add_hit(self._parts, self._hits[index])
                self._count += 1
            except Exception as error:
                self._writer.count_unformatted(error)
        self._hit_count = 0

    def _after_line(self) -> None:
        if self._hit_count + self._count >= BATCH_LINES or self._closed:
            self._put_batch()
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _put_batch(self) -> None:
        self._make_lines()
        if not self._count:
            return
        lines, count = b"".join(self._parts), self._count
        self._parts.clear()
        self._count = 0
        self._writer.put_lines(lines, count)

    def _flush(self) -> None:
        self._timer = None
        self._put_batch()
        self._writer.flush()

    def reopen(self) -> None:
        """Open the file again, as after its rotation."""
        self._writer.request_reopen()

    def counts(self) -> dict[str, Any]:
        """Return lines written, and lines lost by reason."""
        return {"written": self._writer.written, "lost": dict(self._writer.lost)}

    async def close(self) -> None:
        """Write what waits, within the writer's time limit; what comes after is lost, and counted."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._put_batch()
        await asyncio.to_thread(self._writer.close)


def _no_hit() -> FastHit:
    return FastHit(
        0.0, b"", ConnectionFacts(), FastRequest("", "", "", "", ServiceFigures("")), HitOutcome(0, 0, 0)
    )
