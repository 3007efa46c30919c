"""What is recorded of a request that the fast path answered."""

from edge.telemetry.connection_facts import ConnectionFacts
from edge.telemetry.figures import ServiceFigures


class FastRequest:
    """What the log has of a request's head, which clients repeat.

    `opening` and `fragment` are it as text, once a line was made.
    """

    __slots__ = (
        "figures",
        "fragment",
        "host",
        "method",
        "opening",
        "referer",
        "revision",
        "target",
        "user_agent",
    )

    def __init__(
        self,
        host: str,
        target: str,
        user_agent: str,
        referer: str,
        figures: ServiceFigures,
        revision: int = 0,
    ) -> None:
        self.method = "GET"
        self.host = host
        self.target = target
        self.user_agent = user_agent
        self.referer = referer
        self.figures = figures
        self.revision = revision
        self.opening = b""
        self.fragment = b""

    @property
    def service(self) -> str:
        return self.figures.name


class HitOutcome:
    """Status, bytes of the body, whole seconds until it is stale: the same object for many answers.

    `fragment` is it as text, once a line was made.
    """

    __slots__ = ("fragment", "size", "status", "ttl")

    def __init__(self, status: int, size: int, ttl: int) -> None:
        self.status = status
        self.size = size
        self.ttl = ttl
        self.fragment = b""


class FastHit:
    """An answer of the fast path, at `at` seconds since the epoch."""

    __slots__ = ("asked", "at", "connection", "outcome", "request_id")

    def __init__(
        self,
        at: float,
        request_id: bytes,
        connection: ConnectionFacts,
        asked: FastRequest,
        outcome: HitOutcome,
    ) -> None:
        self.at = at
        self.request_id = request_id
        self.connection = connection
        self.asked = asked
        self.outcome = outcome
