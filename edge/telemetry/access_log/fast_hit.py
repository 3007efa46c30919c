"""A request that the fast path answered: a tuple, since it is made for each."""

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


# status, bytes of the body, whole seconds until it is stale: the same tuple for many requests
HitOutcome = tuple[int, int, int]
# seconds since the epoch, request id, connection, request, outcome
FastHit = tuple[float, bytes, ConnectionFacts, FastRequest, HitOutcome]
