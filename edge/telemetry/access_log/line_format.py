"""A format of the access log. A class, not a protocol: compiled, its methods are called without a lookup."""

from edge.telemetry.access_log.fast_hit import FastRequest, HitOutcome
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.stream_record import StreamRecord


class LineFormat:
    """Makes lines, each with its line end."""

    def format_record(self, record: RequestRecord | StreamRecord) -> bytes:
        """Return the line of a request or a stream."""
        raise NotImplementedError

    def add_hit(
        self,
        parts: list[bytes],
        at: float,
        request_id: bytes,
        connection: ConnectionFacts,
        asked: FastRequest,
        outcome: HitOutcome,
    ) -> None:
        """Append the parts of a line for an answer of the fast path; a fault leaves `parts` as it was.

        `at` in seconds since the epoch.
        """
        raise NotImplementedError
