"""The record of one request that takes the general path: what its line and the figures are made of."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import ServiceFigures
from edge.telemetry.trace_context import TraceContext

REQUEST_RECORD = "sennit.request_record"  # ASGI extension
REQUEST_ID_FIELD = "x-request-id"
SESSION_FIELD = "sennit-session"
VIA_SHIELD = "shield"
CLIENT_LEFT = 499  # status of a line whose client left before a status was sent, as nginx has it

# the request that a task works for: a fetch from the origin is a task of its own
current_record: ContextVar["RequestRecord | None"] = ContextVar("current_record", default=None)


class SpanSink(Protocol):
    """What takes the records of sampled traces (`edge.telemetry.traces`)."""

    def append(self, record: Any) -> None: ...


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One request. Times in seconds: `started` since the epoch, `began` of the monotonic clock."""

    connection: ConnectionFacts
    request_id: str
    trace: TraceContext
    figures: ServiceFigures
    method: str = ""
    host: str = ""
    target: str = ""
    user_agent: str = ""
    referer: str = ""
    revision: int = 0
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    cache_status: str = ""
    origin: str = ""
    origin_status: int = 0
    origin_seconds: float = 0.0
    first_byte_seconds: float = 0.0
    duration_seconds: float = 0.0
    complete: bool = False
    traces: SpanSink | None = None  # where its spans are exported, None for a trace that is not sampled
    lookup_seconds: float = 0.0  # until the first request to an origin
    attempts: int = 0  # requests to origins
    via: str = ""  # VIA_SHIELD for the request of another edge
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)

    @property
    def service(self) -> str:
        return self.figures.name

    @property
    def is_hit(self) -> bool:
        return self.cache_status.startswith("hit")

    @property
    def is_error(self) -> bool:
        """Whether sampling leaves it in the log: a 5xx, an answer that was not sent whole, a failure of the origin."""
        failed_origin = bool(self.origin) and (not self.origin_status or self.origin_status >= 500)
        return self.status >= 500 or not self.complete or failed_origin

    def origin_fields(self) -> list[tuple[str, str]]:
        """Return the fields that identify the request and its session to the origin."""
        return [
            (REQUEST_ID_FIELD, self.request_id),
            (SESSION_FIELD, self.connection.session_field()),
            *self.trace.header_fields(),
        ]

    def note_first_byte(self) -> None:
        self.first_byte_seconds = time.monotonic() - self.began

    def note_end(self) -> None:
        self.duration_seconds = time.monotonic() - self.began

    def count_figures(self) -> None:
        """Add this request to the figures of its service; another edge counts its clients' requests itself."""
        figures = self.figures
        if self.via == VIA_SHIELD:
            figures.shielded_requests += 1
            figures.shielded_hits += self.is_hit
            return
        figures.requests += 1
        figures.hits += self.is_hit
        figures.incomplete += not self.complete
        figures.bytes_in += self.bytes_in
        figures.bytes_out += self.bytes_out
        figures.statuses[0 if self.status == CLIENT_LEFT else self.status // 100] += 1
