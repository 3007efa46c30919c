"""A format of the access log. A class, not a protocol: compiled, its methods are called without a lookup."""

from edge.telemetry.access_log.fast_hit import FastHit
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.stream_record import StreamRecord


class LineFormat:
    """Makes lines, each with its line end."""

    def format_record(self, record: RequestRecord | StreamRecord) -> bytes:
        """Return the line of a request or a stream."""
        raise NotImplementedError

    def add_hit(self, parts: list[bytes], hit: FastHit) -> None:
        """Append the parts of the line of an answer of the fast path; a fault leaves `parts` as it was."""
        raise NotImplementedError
