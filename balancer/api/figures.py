"""Bodies about what services do: counts in heartbeats, and sums over time and edges."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from balancer.api.numbers import Count

# upper bounds in seconds of the buckets of origins' latency; the last bucket has none
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STATUS_CLASSES = 6  # none, 1xx, 2xx, 3xx, 4xx, 5xx
# why handshakes fail; docs/metrics.md says what each is
HANDSHAKE_REASONS = (
    "overloaded",
    "draining",
    "timeout",
    "connection-lost",
    "client-aborted",
    "mismatch",
    "certificate",
    "unsupported",
    "invalid",
)
NO_SERVICE = "none"  # in reports: what belongs to no service
SERVICES_LIMIT = 64  # services in one heartbeat, some 26 KB: the others follow with the next ones
ServiceName = Annotated[str, Field(max_length=63)]
Statuses = Annotated[
    list[Count],
    Field(
        min_length=STATUS_CLASSES,
        max_length=STATUS_CLASSES,
        description="By class: none (the client left), 1xx, 2xx, 3xx, 4xx, 5xx.",
    ),
]
Latency = Annotated[
    list[Count],
    Field(
        min_length=len(LATENCY_BOUNDS) + 1,
        max_length=len(LATENCY_BOUNDS) + 1,
        description=f"Origin requests up to {', '.join(map(str, LATENCY_BOUNDS))} s, and above.",
    ),
]


HandshakeFailures = Annotated[
    list[Count],
    Field(
        min_length=len(HANDSHAKE_REASONS),
        max_length=len(HANDSHAKE_REASONS),
        description=f"By reason: {', '.join(HANDSHAKE_REASONS)}.",
    ),
]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ServiceFiguresBody(BaseModel):
    """What a service did in some time."""

    requests: Count = 0
    hits: Count = 0
    bytes_in: Count = 0
    bytes_out: Count = 0
    statuses: Statuses = [0] * STATUS_CLASSES
    origin_requests: Count = 0
    origin_failures: Count = 0
    origin_seconds: Seconds = 0.0
    origin_latency: Latency = [0] * (len(LATENCY_BOUNDS) + 1)
    sessions: Annotated[Count, Field(description="That were established.")] = 0
    session_seconds: Annotated[
        Seconds,
        Field(
            description="Sum of how long sessions were open: divided by the time, how many were on average."
        ),
    ] = 0.0
    handshake_failures: HandshakeFailures = [0] * len(HANDSHAKE_REASONS)

    def as_numbers(self) -> list[float]:
        """Return all counts in one fixed order."""
        return [
            *(self.requests, self.hits, self.bytes_in, self.bytes_out),
            *(self.origin_requests, self.origin_failures, self.origin_seconds),
            *self.statuses,
            *self.origin_latency,
            *(self.sessions, self.session_seconds),
            *self.handshake_failures,
        ]

    @classmethod
    def named_numbers(cls, numbers: list[float]) -> dict[str, Any]:
        """Return fields of the numbers of `as_numbers`."""
        names = ("requests", "hits", "bytes_in", "bytes_out", "origin_requests", "origin_failures")
        return {
            **{name: int(value) for name, value in zip(names, numbers[:6], strict=True)},
            "origin_seconds": numbers[6],
            "statuses": [int(value) for value in numbers[STATUSES]],
            "origin_latency": [int(value) for value in numbers[ORIGIN_LATENCY]],
            "sessions": int(numbers[SESSIONS]),
            "session_seconds": numbers[SESSION_SECONDS],
            "handshake_failures": [int(value) for value in numbers[FAILURES]],
        }


# places in `as_numbers`
STATUSES = slice(7, 7 + STATUS_CLASSES)
ORIGIN_LATENCY = slice(STATUSES.stop, STATUSES.stop + len(LATENCY_BOUNDS) + 1)
SESSIONS = ORIGIN_LATENCY.stop
SESSION_SECONDS = SESSIONS + 1
FAILURES = slice(SESSION_SECONDS + 1, SESSION_SECONDS + 1 + len(HANDSHAKE_REASONS))
NUMBERS = len(ServiceFiguresBody().as_numbers())


class FiguresReport(BaseModel):
    """What an edge's services did since the report before, which is repeated until it is answered."""

    sequence: Count
    services: dict[ServiceName, ServiceFiguresBody] = Field(default={}, max_length=SERVICES_LIMIT)


class FiguresPoint(ServiceFiguresBody):
    """The figures of one step, which begins at `at`."""

    at: datetime


class FiguresView(BaseModel):
    """A service over time, oldest first; steps without requests are left out."""

    service: str
    step_seconds: int
    points: list[FiguresPoint]


class ServiceTotal(ServiceFiguresBody):
    """A service over the last `seconds`."""

    service: str


class FiguresTotals(BaseModel):
    """All services that did something, the busiest first."""

    seconds: int
    services: list[ServiceTotal]
    no_service: ServiceFiguresBody | None = Field(
        default=None,
        description="Requests and sessions for host names that no service has, and handshakes that ended before the "
        "name was read. None: there were none.",
    )


class FiguresLine(BaseModel):
    """One service, edge or the fleet over time: a number for each step, oldest first."""

    service: str | None = Field(default=None, description="None: all services.")
    edge_id: int | None = Field(default=None, description="None: all edges.")
    requests: list[int]
    hits: list[int]
    bytes_out: list[int]
    client_errors: list[int] = Field(description="Answers with 4xx.")
    server_errors: list[int] = Field(description="Answers with 5xx.")
    origin_requests: list[int]
    origin_failures: list[int]
    origin_seconds: list[float] = Field(description="Sum over the origin requests.")
    origin_p95: list[float | None] = Field(
        default=[],
        description="Upper bound in seconds; None without origin requests or above 30 s. None at all for an edge.",
    )

    open_sessions: list[float] = Field(
        default=[],
        description="On average of the step. None at all for an edge, whose lease has their number.",
    )
    handshake_failures: list[int] = Field(default=[], description="None at all for an edge.")


class FiguresHistory(BaseModel):
    """Steps that have ended; `begin` is the time of the first."""

    step_seconds: int
    begin: datetime
    steps: int
    lines: list[FiguresLine]


def latency_quantile(latency: list[int], share: float) -> float | None:
    """Return the bound in seconds below which this share of origin requests was; None without any."""
    wanted, seen = share * sum(latency), 0
    if not wanted:
        return None
    for bound, count in zip((*LATENCY_BOUNDS, float("inf")), latency, strict=True):
        seen += count
        if seen >= wanted:
            return bound
    return None
