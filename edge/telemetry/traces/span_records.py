"""What spans are made of, as requests and sessions leave it behind: small values, without OpenTelemetry."""

from dataclasses import dataclass

from edge.telemetry.access_log.fast_hit import FastHit
from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.request_record import RequestRecord
from edge.telemetry.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class OriginAttempt:
    """One request to an origin, or to the edge that shields it. Times in seconds, `started` since the epoch.

    `trace` is the request's; `span_id` is what the origin was sent as its parent. `status` is 0 without an answer.
    """

    trace: TraceContext
    span_id: str
    service: str
    method: str
    url: str  # without query
    host: str
    port: int
    status: int
    error: str  # name of the exception, empty with an answer
    started: float
    seconds: float
    to_shield: bool
    number: int  # of this request's attempts, from 0


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session from its establishment to its end, in seconds since the epoch."""

    connection: ConnectionFacts
    service: str
    server_name: str
    started: float
    ended: float


SpanRecord = RequestRecord | FastHit | OriginAttempt | EndedSession
